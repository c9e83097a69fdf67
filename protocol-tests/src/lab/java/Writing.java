import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Records on their way to a broker. */
final class Writing {
    private static final Map<String, KafkaProducer<byte[], byte[]>> PLAIN = new ConcurrentHashMap<>();
    private static final Map<String, KafkaProducer<byte[], byte[]>> TRANSACTIONAL = new ConcurrentHashMap<>();

    /**
     * {"topic", "partition", "records": [...], "config": {...}, "transaction": id, "end": "commit" | "abort" | "open"}:
     * sends the records, as few batches as batch.size allows, and answers with their offsets.
     */
    static ObjectNode produce(JsonNode command) throws Exception {
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (JsonNode record : command.path("records")) {
            records.add(record(command, record));
        }
        ArrayNode offsets = Tool.JSON.createArrayNode();
        send(command, records, offset -> offsets.add(offset));
        return Tool.JSON.createObjectNode().set("offsets", offsets);
    }

    /** {"topic", "partition", "count", "size", "seed", "timestamp", "config"}: the same records as Fill in record.rs. */
    static ObjectNode fill(JsonNode command) throws Exception {
        long count = command.path("count").asLong();
        int size = command.path("size").asInt();
        long seed = command.path("seed").asLong();
        long timestamp = command.path("timestamp").asLong();
        long[] edge = {-1, -1};
        List<ProducerRecord<byte[], byte[]>> some = new ArrayList<>();
        for (long index = 0; index < count; index++) {
            byte[] key = ("key-" + index).getBytes(StandardCharsets.UTF_8);
            some.add(new ProducerRecord<>(command.path("topic").asText(), command.path("partition").asInt(),
                timestamp + index, key, value(seed, index, size)));
            if (some.size() == 10_000 || index == count - 1) {
                send(command, some, offset -> {
                    edge[0] = edge[0] < 0 ? offset : edge[0];
                    edge[1] = offset;
                });
                some.clear();
            }
        }
        return Tool.JSON.createObjectNode().put("first", edge[0]).put("last", edge[1]);
    }

    /** {"transaction": id, "end": "commit" | "abort"}: ends a transaction that was left open. */
    static ObjectNode end(JsonNode command) {
        String id = command.path("transaction").asText();
        end(TRANSACTIONAL.get(key(command, id)), command.path("end").asText());
        return Tool.JSON.createObjectNode();
    }

    private interface Sink {
        void offset(long offset);
    }

    private static void send(JsonNode command, List<ProducerRecord<byte[], byte[]>> records, Sink sink)
            throws Exception {
        String transaction = command.path("transaction").asText(null);
        KafkaProducer<byte[], byte[]> producer =
            transaction == null ? plain(command) : begun(command, key(command, transaction), transaction);
        // One writer at a time, so that one command's records are not batched with another's.
        synchronized (producer) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (ProducerRecord<byte[], byte[]> record : records) {
                sent.add(producer.send(record));
            }
            producer.flush();
            for (Future<RecordMetadata> each : sent) {
                sink.offset(each.get().offset());
            }
            if (transaction != null) {
                end(producer, command.path("end").asText());
            }
        }
    }

    private static void end(KafkaProducer<byte[], byte[]> producer, String how) {
        switch (how) {
            case "commit": OPEN.remove(producer); producer.commitTransaction(); break;
            case "abort": OPEN.remove(producer); producer.abortTransaction(); break;
            case "open": break;
            default: throw new IllegalArgumentException("end of a transaction: " + how);
        }
    }

    private static final Map<KafkaProducer<byte[], byte[]>, Boolean> OPEN = new ConcurrentHashMap<>();

    private static String key(JsonNode command, String rest) {
        return command.path("bootstrap").asText() + " " + rest;
    }

    private static KafkaProducer<byte[], byte[]> plain(JsonNode command) {
        return PLAIN.computeIfAbsent(key(command, command.path("config").toString()), key -> producer(command));
    }

    private static KafkaProducer<byte[], byte[]> begun(JsonNode command, String key, String transaction) {
        KafkaProducer<byte[], byte[]> producer = TRANSACTIONAL.computeIfAbsent(key, absent -> {
            ObjectNode config = (ObjectNode) command.withObject("/config");
            config.put("transactional.id", transaction);
            KafkaProducer<byte[], byte[]> made = producer(command);
            made.initTransactions();
            return made;
        });
        if (OPEN.put(producer, true) == null) {
            producer.beginTransaction();
        }
        return producer;
    }

    private static KafkaProducer<byte[], byte[]> producer(JsonNode command) {
        // A batch waits until the command has given all its records.
        return new KafkaProducer<>(Common.properties(command,
            "linger.ms", 60_000, "delivery.timeout.ms", 180_000, "max.block.ms", Common.PATIENCE_MS,
            "buffer.memory", 64 << 20, "max.request.size", 32 << 20),
            new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static ProducerRecord<byte[], byte[]> record(JsonNode command, JsonNode record) {
        ProducerRecord<byte[], byte[]> made = new ProducerRecord<>(
            command.path("topic").asText(), command.path("partition").asInt(),
            record.path("timestamp").asLong(), Common.bytes(record.get("key")), Common.bytes(record.get("value")));
        for (JsonNode header : record.path("headers")) {
            String name = new String(Common.bytes(header.get(0)), StandardCharsets.UTF_8);
            made.headers().add(name, Common.bytes(header.get(1)));
        }
        return made;
    }

    /** splitmix64, one of sixteen letters for each four bits. */
    private static byte[] value(long seed, long index, int size) {
        long state = seed + index * 0x2545F4914F6CDD1DL;
        byte[] value = new byte[size];
        long word = 0;
        for (int at = 0; at < size; at++) {
            if (at % 16 == 0) {
                state += 0x9E3779B97F4A7C15L;
                word = state;
                word = (word ^ (word >>> 30)) * 0xBF58476D1CE4E5B9L;
                word = (word ^ (word >>> 27)) * 0x94D049BB133111EBL;
                word ^= word >>> 31;
            }
            value[at] = (byte) ('a' + ((word >>> (4 * (at % 16))) & 15));
        }
        return value;
    }

    private Writing() {}
}
