package dev.lithe.deploy;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.google.protobuf.MessageOrBuilder;
import dev.lithe.calibrate.CalibrationOptions;
import dev.lithe.report.Report;
import dev.lithe.technique.Technique;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.jar.JarFile;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/// What a native executable has to be told: that everything named is there, and that nothing of
/// ours is missing. No executable is built here, since that takes a `native-image`.
class NativeImageTest {
    private static final Path METADATA =
            Path.of(
                    "src/main/resources/META-INF/native-image/dev.lithe/lithe",
                    "reachability-metadata.json");
    private static final Path SOURCES = Path.of("src/main/java");

    /// Written to JSON by a command or for a page, and private to it.
    private static final List<String> PRIVATE =
            List.of(
                    "dev.lithe.cli.InspectCommand$Inspection",
                    "dev.lithe.cli.TechniquesCommand$Row",
                    "dev.lithe.report.ErrorMap");

    private static final Pattern DESCRIPTOR =
            Pattern.compile("FunctionDescriptor\\s*\\.\\s*(of|ofVoid)\\(([^()]*)\\)");
    private static final Map<String, String> LAYOUTS =
            Map.of(
                    "LONG", "jlong",
                    "INT", "jint",
                    "FLOAT", "jfloat",
                    "JAVA_LONG", "jlong",
                    "JAVA_INT", "jint",
                    "ADDRESS", "void*");

    /// Those of the allocator's functions, which share one descriptor in the source.
    private static final List<String> OF_ALLOCATOR = List.of("jint(jlong)", "jint(jint,jint)");

    private static JsonNode metadata() throws IOException {
        return new JsonMapper().readTree(METADATA.toFile());
    }

    private static List<String> types() throws IOException {
        return metadata().path("reflection").findValuesAsText("type");
    }

    @Test
    void everyClassAndMemberIsThere() throws Exception {
        for (JsonNode entry : metadata().path("reflection")) {
            Class<?> type = Class.forName(entry.path("type").asText());
            List<String> fields =
                    Arrays.stream(type.getDeclaredFields()).map(each -> each.getName()).toList();
            assertThat(fields).containsAll(entry.path("fields").findValuesAsText("name"));
            List<String> methods =
                    Arrays.stream(type.getDeclaredMethods()).map(each -> each.getName()).toList();
            assertThat(methods).containsAll(entry.path("methods").findValuesAsText("name"));
        }
        assertThat(types()).doesNotHaveDuplicates();
    }

    @Test
    void everyResourceIsThere() throws IOException {
        List<String> all = resources();
        for (String glob : metadata().path("resources").findValuesAsText("glob")) {
            PathMatcher matcher = FileSystems.getDefault().getPathMatcher("glob:" + glob);
            assertThat(all).as(glob).anyMatch(name -> matcher.matches(Path.of(name)));
        }
    }

    @Test
    void everyResourceOfOursIsNamed() throws IOException {
        List<PathMatcher> globs =
                metadata().path("resources").findValuesAsText("glob").stream()
                        .map(glob -> FileSystems.getDefault().getPathMatcher("glob:" + glob))
                        .toList();
        Path classes = Path.of("target/classes");
        try (Stream<Path> files = Files.walk(classes)) {
            List<Path> missing =
                    files.filter(Files::isRegularFile)
                            .map(classes::relativize)
                            .filter(file -> !file.toString().endsWith(".class"))
                            .filter(file -> !file.startsWith("META-INF"))
                            .filter(file -> !file.endsWith("application.properties"))
                            .filter(file -> globs.stream().noneMatch(glob -> glob.matches(file)))
                            .toList();
            assertThat(missing).isEmpty();
        }
    }

    /// Names of what the class path holds.
    private static List<String> resources() throws IOException {
        List<String> names = new ArrayList<>();
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
            Path path = Path.of(entry);
            if (Files.isDirectory(path)) {
                try (Stream<Path> files = Files.walk(path)) {
                    files.map(file -> path.relativize(file).toString()).forEach(names::add);
                }
            } else if (Files.isRegularFile(path) && entry.endsWith(".jar")) {
                try (var jar = new JarFile(path.toFile())) {
                    jar.stream().map(each -> each.getName()).forEach(names::add);
                }
            }
        }
        return names;
    }

    @Test
    void everyTechniqueIsNamed() throws IOException {
        assertThat(types())
                .containsAll(
                        Technique.all().stream().map(each -> each.getClass().getName()).toList());
    }

    /// DJL finds its engines and models by these, and without one of them it does not start.
    @Test
    void everyProviderThatDjlLooksForIsNamed() throws IOException {
        Set<String> needed = new TreeSet<>();
        for (String service :
                List.of("ai.djl.engine.EngineProvider", "ai.djl.repository.zoo.ZooProvider")) {
            for (URL file :
                    Collections.list(loader().getResources("META-INF/services/" + service))) {
                try (InputStream names = file.openStream()) {
                    new String(names.readAllBytes(), StandardCharsets.UTF_8)
                            .lines()
                            .filter(line -> !line.isBlank() && !line.startsWith("#"))
                            .forEach(needed::add);
                }
            }
        }
        assertThat(needed).hasSizeGreaterThan(4);
        assertThat(types()).containsAll(needed);
    }

    private static ClassLoader loader() {
        return NativeImageTest.class.getClassLoader();
    }

    /// Protobuf calls the getters of a message that names itself, as the details of errors do.
    @Test
    void everyMessageInTheDetailsOfErrorsIsNamed() throws Exception {
        Pattern imported = Pattern.compile("import (com\\.google\\.rpc\\.\\w+);");
        Set<String> needed = new TreeSet<>();
        try (Stream<Path> files = Files.walk(SOURCES)) {
            for (Path file : files.filter(each -> each.toString().endsWith(".java")).toList()) {
                Matcher found = imported.matcher(Files.readString(file));
                while (found.find()) {
                    messages(Class.forName(found.group(1)), needed);
                }
            }
        }
        assertThat(needed).contains("com.google.rpc.Status$Builder");
        assertThat(types()).containsAll(needed);
    }

    private static void messages(Class<?> type, Set<String> into) {
        if (MessageOrBuilder.class.isAssignableFrom(type) && !type.isInterface()) {
            into.add(type.getName());
            Arrays.stream(type.getDeclaredClasses()).forEach(each -> messages(each, into));
        }
    }

    /// Records are filled from recipes and reports, and written as such, by their components.
    @Test
    void everyRecordThatIsReadOrWrittenIsNamed() throws Exception {
        Set<String> needed = new TreeSet<>();
        for (Technique technique : Technique.all()) {
            collect(technique.defaults().getClass(), needed);
        }
        collect(Report.class, needed);
        collect(CalibrationOptions.class, needed);
        for (String name : PRIVATE) {
            collect(Class.forName(name), needed);
        }
        needed.removeAll(types());
        assertThat(needed).as("missing").isEmpty();
    }

    private static void collect(Type type, Set<String> into) {
        switch (type) {
            case ParameterizedType generic ->
                    Arrays.stream(generic.getActualTypeArguments())
                            .forEach(each -> collect(each, into));
            case Class<?> each
                    when each.getName().startsWith("dev.lithe.") && into.add(each.getName()) -> {
                if (each.isRecord()) {
                    for (RecordComponent component : each.getRecordComponents()) {
                        collect(component.getGenericType(), into);
                    }
                }
                if (each.isSealed()) {
                    Arrays.stream(each.getPermittedSubclasses()).forEach(one -> collect(one, into));
                }
            }
            default -> {}
        }
    }

    @Test
    void everyCallOfAForeignFunctionIsNamed() throws IOException {
        Set<String> called = new TreeSet<>(OF_ALLOCATOR);
        try (Stream<Path> files = Files.walk(SOURCES)) {
            for (Path file : files.filter(each -> each.toString().endsWith(".java")).toList()) {
                Matcher found = DESCRIPTOR.matcher(Files.readString(file));
                while (found.find()) {
                    List<String> arguments =
                            Arrays.stream(found.group(2).split(","))
                                    .map(each -> each.strip().replace("ValueLayout.", ""))
                                    .toList();
                    if (!arguments.contains("arguments")) {
                        called.add(signature(found.group(1).equals("ofVoid"), arguments));
                    }
                }
            }
        }
        Set<String> named = new TreeSet<>();
        for (JsonNode call : metadata().at("/foreign/downcalls")) {
            named.add(
                    call.path("returnType").asText()
                            + Kustomization.texts(call, "parameterTypes").stream()
                                    .collect(Collectors.joining(",", "(", ")")));
        }
        assertThat(named).isEqualTo(called);
    }

    private static String signature(boolean isVoid, List<String> layouts) {
        List<String> types =
                layouts.stream()
                        .map(layout -> {
                            assertThat(LAYOUTS).containsKey(layout);
                            return LAYOUTS.get(layout);
                        })
                        .toList();
        String result = isVoid ? "void" : types.getFirst();
        return result
                + types.stream().skip(isVoid ? 0 : 1).collect(Collectors.joining(",", "(", ")"));
    }

    /// Quarkus initialises classes while it builds the executable, where there may be no libtorch.
    @Test
    void whatLoadsALibraryIsInitialisedWhereItRuns() throws Exception {
        String pom = Files.readString(Path.of("pom.xml"));
        Matcher waiting = Pattern.compile("--initialize-at-run-time=([^<]*)<").matcher(pom);
        assertThat(waiting.find()).isTrue();
        List<String> names = List.of(waiting.group(1).split(",--")[0].split("\\\\,"));
        Set<String> needed = new TreeSet<>();
        try (Stream<Path> files = Files.list(SOURCES.resolve("dev/lithe/tensor"))) {
            for (Path file : files.toList()) {
                String outer = file.getFileName().toString().replace(".java", "");
                Matcher holder =
                        Pattern.compile("private static final class (\\w+)")
                                .matcher(Files.readString(file));
                while (holder.find()) {
                    needed.add("dev.lithe.tensor." + outer + "$" + holder.group(1));
                }
            }
        }
        assertThat(needed).hasSizeGreaterThan(4);
        assertThat(names).containsAll(needed);
        for (String name : names) {
            if (name.startsWith("dev.lithe.")) {
                assertThat(Class.forName(name, false, getClass().getClassLoader())).isNotNull();
            }
        }
    }
}
