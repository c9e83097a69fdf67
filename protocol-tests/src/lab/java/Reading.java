import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.zip.CRC32C;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Records as a consumer reads them. */
final class Reading {
    private interface Sink {
        void record(ConsumerRecord<byte[], byte[]> record) throws IOException;
    }

    /** {"topic", "partition", "from", "to", "config"}: the records of [from, to); without bounds the whole log. */
    static ObjectNode read(JsonNode command) throws Exception {
        ArrayNode records = Tool.JSON.createArrayNode();
        each(command, record -> records.add(json(record)));
        return Tool.JSON.createObjectNode().set("records", records);
    }

    /** As read, but only the count, the edges and the digest of record.rs. */
    static ObjectNode digest(JsonNode command) throws Exception {
        CRC32C crc = new CRC32C();
        long[] seen = {0, -1, -1};
        each(command, record -> {
            crc.update(canonical(record));
            seen[1] = seen[0]++ == 0 ? record.offset() : seen[1];
            seen[2] = record.offset();
        });
        return Tool.JSON.createObjectNode()
            .put("count", seen[0]).put("first", seen[1]).put("last", seen[2]).put("crc", crc.getValue());
    }

    static ObjectNode json(ConsumerRecord<byte[], byte[]> record) {
        ArrayNode headers = Tool.JSON.createArrayNode();
        for (Header header : record.headers()) {
            byte[] key = header.key().getBytes(StandardCharsets.UTF_8);
            headers.add(Tool.JSON.createArrayNode().add(Common.hex(key)).add(Common.hex(header.value())));
        }
        ObjectNode json = Tool.JSON.createObjectNode();
        json.put("topic", record.topic()).put("partition", record.partition()).put("offset", record.offset());
        json.put("timestamp", record.timestamp()).put("timestampType", record.timestampType().toString());
        json.put("key", Common.hex(record.key())).put("value", Common.hex(record.value()));
        return json.set("headers", headers);
    }

    private static void each(JsonNode command, Sink sink) throws IOException {
        TopicPartition at = Common.partition(command);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(command)) {
            consumer.assign(List.of(at));
            long to = command.hasNonNull("to") ? command.path("to").asLong() : end(consumer, at);
            if (command.hasNonNull("from")) {
                consumer.seek(at, command.path("from").asLong());
            } else {
                consumer.seekToBeginning(List.of(at));
            }
            long deadline = System.nanoTime() + Common.PATIENCE_MS * 1_000_000L;
            // The position also passes what a consumer isn't shown: control batches, aborted records, gaps.
            while (consumer.position(at) < to) {
                boolean moved = false;
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    moved = true;
                    if (record.offset() < to) {
                        sink.record(record);
                    }
                }
                if (moved) {
                    deadline = System.nanoTime() + Common.PATIENCE_MS * 1_000_000L;
                } else if (System.nanoTime() > deadline) {
                    throw new IOException("no progress beyond " + at + " offset " + consumer.position(at));
                }
            }
        }
    }

    private static long end(KafkaConsumer<byte[], byte[]> consumer, TopicPartition at) {
        return consumer.endOffsets(List.of(at)).get(at);
    }

    static KafkaConsumer<byte[], byte[]> consumer(JsonNode command) {
        return new KafkaConsumer<>(Common.properties(command,
            "enable.auto.commit", "false", "auto.offset.reset", "none", "default.api.timeout.ms", Common.PATIENCE_MS,
            "fetch.max.wait.ms", 100, "max.partition.fetch.bytes", 16 << 20, "max.poll.records", 5_000),
            new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static byte[] canonical(ConsumerRecord<byte[], byte[]> record) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeLong(record.timestamp());
        put(out, record.key());
        put(out, record.value());
        Header[] headers = record.headers().toArray();
        out.writeInt(headers.length);
        for (Header header : headers) {
            put(out, header.key().getBytes(StandardCharsets.UTF_8));
            put(out, header.value());
        }
        return bytes.toByteArray();
    }

    private static void put(DataOutputStream out, byte[] field) throws IOException {
        out.writeInt(field == null ? -1 : field.length);
        if (field != null) {
            out.write(field);
        }
    }

    private Reading() {}
}
