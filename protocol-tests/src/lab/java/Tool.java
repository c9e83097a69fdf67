import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Kafka's own Java client, driven by the tests: one JSON command per line on stdin, one JSON answer per line on stdout.
 *
 * A command is {"id": n, "do": name, "bootstrap": list, ...}; its answer is {"id": n, "ok": {...}} or {"id": n, "error":
 * text}. Commands run side by side, so answers come in any order. Bytes are hexadecimal. The end of stdin means that the
 * tests are gone: the process halts.
 */
public final class Tool {
    static final ObjectMapper JSON = new ObjectMapper();

    /** What a command does. */
    interface Command {
        ObjectNode run(JsonNode command) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        ExecutorService threads = Executors.newCachedThreadPool();
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            JsonNode command = JSON.readTree(line);
            threads.submit(() -> {
                String answer = answer(command).toString();
                synchronized (answers) {
                    answers.println(answer);
                }
            });
        }
        Runtime.getRuntime().halt(0);
    }

    private static ObjectNode answer(JsonNode command) {
        ObjectNode answer = JSON.createObjectNode().put("id", command.path("id").asLong());
        try {
            answer.set("ok", named(command.path("do").asText()).run(command));
        } catch (Throwable cause) {
            answer.put("error", describe(cause));
        }
        return answer;
    }

    private static String describe(Throwable cause) {
        StringBuilder text = new StringBuilder();
        for (Throwable each = cause; each != null; each = each.getCause()) {
            text.append(text.length() == 0 ? "" : ": ").append(each);
        }
        return text.toString();
    }

    private static Command named(String name) {
        switch (name) {
            case "produce": return Writing::produce;
            case "fill": return Writing::fill;
            case "end_transaction": return Writing::end;
            case "read": return Reading::read;
            case "digest": return Reading::digest;
            case "consume": return Groups::consume;
            case "join": return Groups::join;
            case "leave": return Groups::leave;
            case "commit": return Groups::commit;
            case "alter_offsets": return Groups::alterOffsets;
            case "committed": return Groups::committed;
            case "list_groups": return Groups::list;
            case "create_topic": return Topics::create;
            case "delete_topic": return Topics::delete;
            case "describe_topic": return Topics::describe;
            case "delete_records": return Topics::deleteRecords;
            case "configs": return Topics::configs;
            case "alter_configs": return Topics::alterConfigs;
            case "offsets": return Topics::offsets;
            default: throw new IllegalArgumentException("no such command: " + name);
        }
    }

    private Tool() {}
}
