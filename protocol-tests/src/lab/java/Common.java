import com.fasterxml.jackson.databind.JsonNode;
import java.util.HexFormat;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.TopicPartition;

/** What several commands need. */
final class Common {
    /** How long one call to a broker may take. */
    static final int PATIENCE_MS = 60_000;

    private static final Map<String, Admin> ADMINS = new ConcurrentHashMap<>();

    static Admin admin(JsonNode command) {
        return ADMINS.computeIfAbsent(command.path("bootstrap").asText(), bootstrap -> {
            Properties properties = new Properties();
            properties.put("bootstrap.servers", bootstrap);
            properties.put("default.api.timeout.ms", PATIENCE_MS);
            return Admin.create(properties);
        });
    }

    /** The properties of a client: bootstrap, then what the command's "config" sets. */
    static Properties properties(JsonNode command, Object... defaults) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", command.path("bootstrap").asText());
        for (int at = 0; at < defaults.length; at += 2) {
            properties.put(defaults[at].toString(), defaults[at + 1]);
        }
        command.path("config").fields().forEachRemaining(
            entry -> properties.put(entry.getKey(), entry.getValue().asText()));
        return properties;
    }

    static TopicPartition partition(JsonNode node) {
        return new TopicPartition(node.path("topic").asText(), node.path("partition").asInt());
    }

    /** Bytes, or null where the JSON has none. */
    static byte[] bytes(JsonNode node) {
        return node == null || node.isNull() || node.isMissingNode() ? null : HexFormat.of().parseHex(node.asText());
    }

    static String hex(byte[] bytes) {
        return bytes == null ? null : HexFormat.of().formatHex(bytes);
    }

    private Common() {}
}
