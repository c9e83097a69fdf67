import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.UnsupportedVersionException;

/** Topics and what is set on them. */
final class Topics {
    /** {"topic", "partitions", "copies", "configs": {...}} */
    static ObjectNode create(JsonNode command) throws Exception {
        NewTopic topic = new NewTopic(command.path("topic").asText(), command.path("partitions").asInt(),
            (short) command.path("copies").asInt(1));
        topic.configs(settings(command));
        Common.admin(command).createTopics(List.of(topic)).all().get();
        return Tool.JSON.createObjectNode();
    }

    /** {"topic"} */
    static ObjectNode delete(JsonNode command) throws Exception {
        Common.admin(command).deleteTopics(List.of(command.path("topic").asText())).all().get();
        return Tool.JSON.createObjectNode();
    }

    /** {"topic"}: how many partitions it has. */
    static ObjectNode describe(JsonNode command) throws Exception {
        String name = command.path("topic").asText();
        TopicDescription topic = Common.admin(command).describeTopics(List.of(name)).allTopicNames().get().get(name);
        return Tool.JSON.createObjectNode().put("partitions", topic.partitions().size());
    }

    /** {"topic", "partition", "offset"}: moves the log start. */
    static ObjectNode deleteRecords(JsonNode command) throws Exception {
        RecordsToDelete before = RecordsToDelete.beforeOffset(command.path("offset").asLong());
        Common.admin(command).deleteRecords(Map.of(Common.partition(command), before)).all().get();
        return Tool.JSON.createObjectNode();
    }

    /** {"topic"}: every config with its value, and whether it is set on the topic itself. */
    static ObjectNode configs(JsonNode command) throws Exception {
        ObjectNode configs = Tool.JSON.createObjectNode();
        for (ConfigEntry entry : entries(command)) {
            configs.putObject(entry.name()).put("value", entry.value()).put("own", own(entry));
        }
        return Tool.JSON.createObjectNode().set("configs", configs);
    }

    /** {"topic", "configs": {...}}: sets some and leaves the others. */
    static ObjectNode alterConfigs(JsonNode command) throws Exception {
        Map<String, String> wanted = settings(command);
        List<AlterConfigOp> ops = new ArrayList<>();
        wanted.forEach((key, value) -> ops.add(new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET)));
        try {
            Common.admin(command).incrementalAlterConfigs(Map.of(resource(command), ops)).all().get();
        } catch (ExecutionException cause) {
            if (!(cause.getCause() instanceof UnsupportedVersionException)) {
                throw cause;
            }
            replaceConfigs(command, wanted);
        }
        return Tool.JSON.createObjectNode();
    }

    /** {"topic", "partition"}: the log start, the high watermark and the last stable offset. */
    static ObjectNode offsets(JsonNode command) throws Exception {
        TopicPartition at = Common.partition(command);
        return Tool.JSON.createObjectNode()
            .put("start", offset(command, at, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED))
            .put("end", offset(command, at, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED))
            .put("stable", offset(command, at, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED));
    }

    private static long offset(JsonNode command, TopicPartition at, OffsetSpec which, IsolationLevel level)
            throws Exception {
        ListOffsetsOptions options = new ListOffsetsOptions(level);
        return Common.admin(command).listOffsets(Map.of(at, which), options).partitionResult(at).get().offset();
    }

    /** Before 2.3 configs can only be replaced all at once. */
    @SuppressWarnings("deprecation")
    private static void replaceConfigs(JsonNode command, Map<String, String> wanted) throws Exception {
        Map<String, String> all = new HashMap<>();
        for (ConfigEntry entry : entries(command)) {
            if (own(entry)) {
                all.put(entry.name(), entry.value());
            }
        }
        all.putAll(wanted);
        List<ConfigEntry> entries = new ArrayList<>();
        all.forEach((key, value) -> entries.add(new ConfigEntry(key, value)));
        Common.admin(command).alterConfigs(Map.of(resource(command), new Config(entries))).all().get();
    }

    private static Collection<ConfigEntry> entries(JsonNode command) throws Exception {
        Admin admin = Common.admin(command);
        return admin.describeConfigs(List.of(resource(command))).all().get().get(resource(command)).entries();
    }

    private static boolean own(ConfigEntry entry) {
        return entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG;
    }

    private static ConfigResource resource(JsonNode command) {
        return new ConfigResource(ConfigResource.Type.TOPIC, command.path("topic").asText());
    }

    private static Map<String, String> settings(JsonNode command) {
        Map<String, String> settings = new HashMap<>();
        command.path("configs").fields().forEachRemaining(
            entry -> settings.put(entry.getKey(), entry.getValue().asText()));
        return settings;
    }

    private Topics() {}
}
