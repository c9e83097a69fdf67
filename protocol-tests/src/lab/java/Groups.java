import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.ConsumerGroupListing;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;

/** Consumer groups: their members and their offsets. */
final class Groups {
    private static final Map<String, Member> MEMBERS = new ConcurrentHashMap<>();

    /** A consumer that stays in its group, polling, until it is told to leave. */
    private static final class Member {
        final CountDownLatch assigned = new CountDownLatch(1);
        final KafkaConsumer<byte[], byte[]> consumer;
        final Thread thread;

        Member(JsonNode command) {
            consumer = member(command);
            consumer.subscribe(topics(command));
            thread = new Thread(this::poll, "member");
            thread.start();
        }

        private void poll() {
            try {
                while (true) {
                    consumer.poll(Duration.ofMillis(100));
                    if (!consumer.assignment().isEmpty()) {
                        assigned.countDown();
                    }
                }
            } catch (WakeupException told) {
                consumer.close();
            }
        }
    }

    /** {"group", "topics": [...], "member": name}: joins and stays; answers once it has an assignment. */
    static ObjectNode join(JsonNode command) throws Exception {
        Member member = new Member(command);
        if (MEMBERS.put(name(command), member) != null) {
            throw new IllegalStateException("a member of this name is there already");
        }
        if (!member.assigned.await(Common.PATIENCE_MS, TimeUnit.MILLISECONDS)) {
            throw new TimeoutException("no assignment");
        }
        return Tool.JSON.createObjectNode();
    }

    /** {"group", "member": name}: leaves in order. */
    static ObjectNode leave(JsonNode command) throws Exception {
        Member member = MEMBERS.remove(name(command));
        member.consumer.wakeup();
        member.thread.join(Common.PATIENCE_MS);
        return Tool.JSON.createObjectNode();
    }

    /** {"group", "topics", "count", "commit": bool}: what the group is given next, as an application would read it. */
    static ObjectNode consume(JsonNode command) throws Exception {
        ArrayNode records = Tool.JSON.createArrayNode();
        int count = command.path("count").asInt();
        long deadline = System.nanoTime() + Common.PATIENCE_MS * 1_000_000L;
        Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
        try (KafkaConsumer<byte[], byte[]> consumer = member(command)) {
            consumer.subscribe(topics(command));
            while (records.size() < count) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    if (records.size() < count) {
                        records.add(Reading.json(record));
                        TopicPartition at = new TopicPartition(record.topic(), record.partition());
                        next.put(at, new OffsetAndMetadata(record.offset() + 1));
                    }
                }
                if (System.nanoTime() > deadline) {
                    throw new TimeoutException("only " + records.size() + " of " + count + " records");
                }
            }
            if (command.path("commit").asBoolean()) {
                consumer.commitSync(next);
            }
        }
        return Tool.JSON.createObjectNode().set("records", records);
    }

    /** {"group", "offsets": [{"topic", "partition", "offset", "metadata"}]}: commits as a consumer without members. */
    static ObjectNode commit(JsonNode command) {
        Map<TopicPartition, OffsetAndMetadata> offsets = offsets(command);
        try (KafkaConsumer<byte[], byte[]> consumer = member(command)) {
            consumer.assign(offsets.keySet());
            consumer.commitSync(offsets);
        }
        return Tool.JSON.createObjectNode();
    }

    /** As commit, by the admin client. */
    static ObjectNode alterOffsets(JsonNode command) throws Exception {
        String group = command.path("group").asText();
        Common.admin(command).alterConsumerGroupOffsets(group, offsets(command)).all().get();
        return Tool.JSON.createObjectNode();
    }

    /** {"group"}: all its committed offsets. */
    static ObjectNode committed(JsonNode command) throws Exception {
        ArrayNode found = Tool.JSON.createArrayNode();
        Common.admin(command).listConsumerGroupOffsets(command.path("group").asText())
            .partitionsToOffsetAndMetadata().get().forEach((at, committed) -> {
                if (committed != null) {
                    found.addObject().put("topic", at.topic()).put("partition", at.partition())
                        .put("offset", committed.offset()).put("metadata", committed.metadata());
                }
            });
        return Tool.JSON.createObjectNode().set("offsets", found);
    }

    static ObjectNode list(JsonNode command) throws Exception {
        ArrayNode groups = Tool.JSON.createArrayNode();
        for (ConsumerGroupListing group : Common.admin(command).listConsumerGroups().all().get()) {
            groups.addObject().put("group", group.groupId())
                .put("state", group.state().map(Object::toString).orElse(null));
        }
        return Tool.JSON.createObjectNode().set("groups", groups);
    }

    private static Map<TopicPartition, OffsetAndMetadata> offsets(JsonNode command) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (JsonNode each : command.path("offsets")) {
            offsets.put(Common.partition(each),
                new OffsetAndMetadata(each.path("offset").asLong(), each.path("metadata").asText("")));
        }
        return offsets;
    }

    private static KafkaConsumer<byte[], byte[]> member(JsonNode command) {
        ObjectNode config = (ObjectNode) command.withObject("/config");
        config.put("group.id", command.path("group").asText());
        return Reading.consumer(command);
    }

    private static Set<String> topics(JsonNode command) {
        List<String> topics = new ArrayList<>();
        command.path("topics").forEach(topic -> topics.add(topic.asText()));
        return Set.copyOf(topics);
    }

    private static String name(JsonNode command) {
        return command.path("bootstrap").asText() + " " + command.path("group").asText() + " "
            + command.path("member").asText();
    }

    private Groups() {}
}
