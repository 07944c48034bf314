package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.annotation.JsonUnwrapped;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.technique.Targets;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.lang.reflect.RecordComponent;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/// `docs/techniques.md` is what the techniques' classes say: comments, keys and defaults.
class TechniquesPageTest {
    private static final Path PAGE = Path.of("docs/techniques.md");
    private static final Pattern PARAMETER = Pattern.compile("@param (\\w+) (.*)");

    /// A component that is spoken of, as `maxBytes`.
    private static final Pattern KEY = Pattern.compile("`[a-z]+[A-Z]\\w*`");

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
        page.append("\n### ").append(technique.name()).append("\n\n");
        page.append(technique.summary().substring(0, 1).toUpperCase(Locale.ROOT))
                .append(technique.summary().substring(1))
                .append(" (scope: ")
                .append(technique.scope())
                .append(").\n\n");
        Map<String, String> meanings = meanings(technique.defaults().getClass());
        ObjectNode defaults = RecordBinder.YAML.valueToTree(technique.defaults());
        if (!defaults.isEmpty()) {
            page.append("| key | default | |\n|---|---|---|\n");
            for (Map.Entry<String, JsonNode> key : defaults.properties()) {
                assertThat(meanings).as(technique.name()).containsKey(key.getKey());
                page.append("| `")
                        .append(key.getKey())
                        .append("` | `")
                        .append(shown(key.getKey(), key.getValue()))
                        .append("` | ")
                        .append(meanings.get(key.getKey()))
                        .append(" |\n");
            }
            page.append('\n');
        }
        String declaration = "class " + technique.getClass().getSimpleName() + " ";
        comment(source(technique.getClass()), declaration)
                .forEach(line -> page.append(line).append('\n'));
    }

    private static List<String> source(Class<?> type) throws IOException {
        String file = type.getNestHost().getName().replace('.', '/') + ".java";
        return Files.readAllLines(Path.of("src/main/java", file));
    }

    /// What is said of each key of a configuration: by its record, by the records whose keys are
    /// among its own, by an enumeration of what may be chosen.
    private static Map<String, String> meanings(Class<?> configuration) throws IOException {
        Map<String, String> meanings = new LinkedHashMap<>();
        meanings.putAll(meanings(comment(source(Targets.class), "record Targets(")));
        for (RecordComponent component : configuration.getRecordComponents()) {
            Class<?> type = component.getType();
            if (component.getAccessor().isAnnotationPresent(JsonUnwrapped.class)) {
                meanings.putAll(meanings(type));
            } else if (isChoice(type)) {
                List<String> about = comment(source(type), "enum " + type.getSimpleName() + " ");
                meanings.put(key(component.getName()), String.join(" ", about));
            }
        }
        String record = "record " + configuration.getSimpleName() + "(";
        meanings.putAll(meanings(comment(source(configuration), record)));
        for (RecordComponent component : configuration.getRecordComponents()) {
            if (isChoice(component.getType())) {
                meanings.merge(
                        key(component.getName()),
                        choices(component.getType()),
                        (about, choices) -> about.replaceAll("\\.$", "") + ": " + choices);
            }
        }
        return meanings;
    }

    private static String key(String component) {
        return component.replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
    }

    private static boolean isChoice(Class<?> type) {
        return type.isEnum() && type != DType.class; // of which keys name what they take
    }

    private static String choices(Class<?> type) {
        return Arrays.stream(type.getEnumConstants())
                .map(each -> "`" + each.toString().toLowerCase(Locale.ROOT) + "`")
                .collect(Collectors.joining(", "));
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
                key = key(found.group(1));
                meanings.put(key, found.group(2));
            } else if (!key.isEmpty() && !line.isBlank()) {
                meanings.merge(key, line.strip(), (a, b) -> a + " " + b);
            }
        }
        meanings.replaceAll((_, text) ->
                KEY.matcher(text.replace("|", "\\|")).replaceAll(found -> key(found.group())));
        return meanings;
    }
}
