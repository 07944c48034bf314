package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.technique.Technique;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/// `docs/techniques.md` is what the techniques' classes say: comments, keys and defaults.
class TechniquesPageTest {
    private static final Path PAGE = Path.of("docs/techniques.md");
    private static final Pattern PARAMETER = Pattern.compile("@param (\\w+) (.*)");

    @Test
    void thePageIsWhatTheClassesSay() throws IOException {
        String page = page();
        if (Boolean.getBoolean("lithe.write")) {
            Files.writeString(PAGE, page);
        }
        assertThat(PAGE)
                .as("./mvnw test -Dtest=TechniquesPageTest -Dlithe.write=true writes it anew")
                .hasContent(page);
    }

    private static String page() throws IOException {
        var page = new StringBuilder();
        page.append("# What recipes are made of\n\n")
                .append(
                        "Made from the classes of the techniques, and kept by `TechniquesPageTest`; ")
                .append("`lithe techniques` lists them in short.\n")
                .append("B windows of T tokens; a linear's weights W are (N, K), N outputs and K")
                .append(" inputs.\n");
        List<Technique> all = new ArrayList<>(Technique.all());
        all.sort(Comparator.comparing(Technique::family).thenComparing(Technique::name));
        String family = "";
        for (Technique technique : all) {
            if (!technique.family().label().equals(family)) {
                family = technique.family().label();
                page.append("\n## ").append(family).append('\n');
            }
            add(technique, page);
        }
        return page.toString();
    }

    private static void add(Technique technique, StringBuilder page) throws IOException {
        String name = technique.getClass().getName();
        List<String> source =
                Files.readAllLines(Path.of("src/main/java", name.replace('.', '/') + ".java"));
        page.append("\n### ").append(technique.name()).append("\n\n");
        page.append(technique.summary().substring(0, 1).toUpperCase(Locale.ROOT))
                .append(technique.summary().substring(1))
                .append(" (scope: ")
                .append(technique.scope())
                .append(").\n\n");
        Map<String, String> meanings = meanings(comment(source, "record Config("));
        ObjectNode defaults = RecordBinder.YAML.valueToTree(technique.defaults());
        if (!defaults.isEmpty()) {
            page.append("| key | default | |\n|---|---|---|\n");
            for (Map.Entry<String, JsonNode> key : defaults.properties()) {
                page.append("| `")
                        .append(key.getKey())
                        .append("` | `")
                        .append(shown(key.getKey(), key.getValue()))
                        .append("` | ")
                        .append(meanings.getOrDefault(key.getKey(), ""))
                        .append(" |\n");
            }
            page.append('\n');
        }
        comment(source, "class " + technique.getClass().getSimpleName() + " ")
                .forEach(line -> page.append(line).append('\n'));
    }

    private static String shown(String key, JsonNode value) {
        if (key.equals("precision")) {
            return "the processor's faster"; // it differs from machine to machine
        }
        return value.isTextual() ? value.asText().toLowerCase(Locale.ROOT) : value.toString();
    }

    /// The lines of the comment before the declaration that holds `words`.
    private static List<String> comment(List<String> source, String words) {
        int at = 0;
        while (at < source.size() && !source.get(at).contains(words)) {
            at++;
        }
        List<String> lines = new ArrayList<>();
        for (int i = Math.min(at, source.size()) - 1; i >= 0; i--) {
            String line = source.get(i).strip();
            if (line.startsWith("///")) {
                lines.addFirst(line.length() > 4 ? line.substring(4) : "");
            } else if (!line.startsWith("@")) {
                break;
            }
        }
        return lines;
    }

    /// What a record's comment says of each component, by its key.
    private static Map<String, String> meanings(List<String> comment) {
        Map<String, String> meanings = new LinkedHashMap<>();
        String key = "";
        for (String line : comment) {
            Matcher found = PARAMETER.matcher(line);
            if (found.matches()) {
                key = found.group(1).replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
                meanings.put(key, found.group(2));
            } else if (!key.isEmpty() && !line.isBlank()) {
                meanings.merge(key, line.strip(), (a, b) -> a + " " + b);
            }
        }
        meanings.replaceAll((_, text) -> text.replace("|", "\\|"));
        return meanings;
    }
}
