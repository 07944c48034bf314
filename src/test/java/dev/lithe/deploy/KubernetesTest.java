package dev.lithe.deploy;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import com.google.gson.JsonElement;
import com.google.gson.JsonParser;
import dev.lithe.cli.CommandLines;
import dev.lithe.proto.inference.GRPCInferenceServiceGrpc;
import dev.lithe.proto.v1.GenerationServiceGrpc;
import io.kubernetes.client.openapi.JSON;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.opentest4j.TestAbortedException;

/// What `k8s/` renders to is what Kubernetes and Lithe know: every field of Kubernetes' own kinds,
/// every option of the command line, and names that refer to each other.
class KubernetesTest {
    private static final Path FOLDER = Path.of("k8s");
    private static final String MODELS = "io.kubernetes.client.openapi.models.V";

    /// Kinds of others; `eval/outside/kubernetes` checks them against their own definitions.
    private static final Set<String> EXTENSIONS =
            Set.of(
                    "keda.sh/v1alpha1 ScaledObject",
                    "gateway.networking.k8s.io/v1 GRPCRoute",
                    "serving.kserve.io/v1alpha1 ServingRuntime",
                    "serving.kserve.io/v1beta1 InferenceService",
                    "monitoring.coreos.com/v1 ServiceMonitor");

    /// With the empty one, which stands for the server as a whole.
    private static final Set<String> HEALTH =
            Set.of("", GenerationServiceGrpc.SERVICE_NAME, GRPCInferenceServiceGrpc.SERVICE_NAME);

    static List<Path> kustomizations() throws IOException {
        try (Stream<Path> all = Files.walk(FOLDER)) {
            return all.filter(file -> file.endsWith("kustomization.yaml"))
                    .map(Path::getParent)
                    .toList();
        }
    }

    /// Throws where the manifest has a field that its kind does not, lacks one that it needs, or
    /// has one of another type.
    private static void validate(JsonNode manifest) throws IOException {
        String version = manifest.path("apiVersion").textValue();
        String kind = manifest.path("kind").textValue();
        if (EXTENSIONS.contains(version + " " + kind)) {
            return;
        }
        String number = version.substring(version.lastIndexOf('v') + 1);
        JsonElement json = JsonParser.parseString(manifest.toString());
        try {
            Class<?> type = Class.forName(MODELS + number + kind);
            type.getMethod("validateJsonElement", JsonElement.class).invoke(null, json);
            JSON.getGson().fromJson(json, type);
        } catch (InvocationTargetException e) {
            throw new IllegalArgumentException(kind + ": " + e.getCause().getMessage(), e);
        } catch (ReflectiveOperationException e) {
            throw new IllegalArgumentException("no kind " + version + " " + kind, e);
        }
    }

    @ParameterizedTest
    @MethodSource("kustomizations")
    void everyFieldIsKnown(Path folder) throws IOException {
        List<ObjectNode> manifests = Kustomization.render(folder);
        assertThat(manifests).isNotEmpty();
        Set<String> names = new HashSet<>();
        for (ObjectNode manifest : manifests) {
            validate(manifest);
            assertThat(names.add(manifest.path("kind") + " " + manifest.at("/metadata/name")))
                    .as("%s is there once", manifest.at("/metadata/name"))
                    .isTrue();
        }
    }

    /// Where kustomize is at hand.
    @ParameterizedTest
    @MethodSource("kustomizations")
    void kustomizeRendersTheSame(Path folder) throws Exception {
        Process process;
        try {
            process = new ProcessBuilder("kustomize", "build", folder.toString()).start();
        } catch (IOException e) {
            throw new TestAbortedException("kustomize is not on the path", e);
        }
        Path output = Files.createTempFile("kustomize", ".yaml");
        try (InputStream from = process.getInputStream()) {
            Files.copy(from, output, StandardCopyOption.REPLACE_EXISTING);
            assertThat(process.waitFor()).isZero();
            assertThat(Kustomization.read(output))
                    .containsExactlyInAnyOrderElementsOf(Kustomization.render(folder));
        } finally {
            Files.delete(output);
        }
    }

    @Test
    void aBrokenManifestIsFound() throws IOException {
        ObjectNode deployment = find("base", "Deployment", "lithe");
        container(deployment).put("imagePullPolicie", "Always");
        assertThatThrownBy(() -> validate(deployment)).hasMessageContaining("imagePullPolicie");
        ObjectNode job = find("overlays/job", "Job", "lithe-compress");
        ((ObjectNode) job.at("/spec/template/spec")).remove("containers");
        assertThatThrownBy(() -> validate(job)).hasMessageContaining("containers");
        ObjectNode gpu = find("overlays/gpu", "Deployment", "lithe");
        container(gpu).withObject("/resources").put("limit", "1");
        assertThatThrownBy(() -> validate(gpu)).hasMessageContaining("limit");
        ObjectNode search = find("overlays/search", "Job", "lithe-search");
        search.withObject("/spec").put("completionsMode", "Indexed");
        assertThatThrownBy(() -> validate(search)).hasMessageContaining("completionsMode");
        ObjectNode words = find("overlays/job", "Job", "lithe-compress");
        words.withObject("/spec").put("backoffLimit", "four");
        assertThatThrownBy(() -> validate(words)).hasMessageContaining("four");
        ObjectNode large = find("base", "Deployment", "lithe");
        container(large).withObject("/resources/limits").put("memory", "4Gb");
        assertThatThrownBy(() -> validate(large)).hasMessageContaining("suffix");
        ObjectNode unknown = deployment.deepCopy().put("kind", "Deploiement");
        assertThatThrownBy(() -> validate(unknown)).hasMessageContaining("Deploiement");
    }

    private static ObjectNode find(String folder, String kind, String name) throws IOException {
        return Kustomization.render(FOLDER.resolve(folder)).stream()
                .filter(each -> each.path("kind").asText().equals(kind))
                .filter(each -> each.at("/metadata/name").asText().equals(name))
                .findFirst()
                .orElseThrow();
    }

    private static ObjectNode container(JsonNode workload) {
        return (ObjectNode) workload.at("/spec/template/spec/containers/0");
    }

    private static List<JsonNode> pods() throws IOException {
        List<JsonNode> pods = new ArrayList<>();
        for (Path folder : kustomizations()) {
            for (ObjectNode manifest : Kustomization.render(folder)) {
                boolean template = !manifest.at("/spec/template/spec").isMissingNode();
                if (template) {
                    pods.add(manifest.at("/spec/template/spec"));
                } else if (manifest.path("kind").asText().equals("ServingRuntime")) {
                    pods.add(manifest.path("spec"));
                }
            }
        }
        return pods;
    }

    @Test
    void theCommandLineTakesEveryArgument() throws IOException {
        assertThat(pods()).hasSizeGreaterThan(5);
        for (JsonNode pod : pods()) {
            List<String> arguments = Kustomization.texts(pod.at("/containers/0"), "args");
            CommandLines.parse(arguments.toArray(String[]::new));
        }
        assertThatThrownBy(() -> CommandLines.parse("serve", "demo", "--drain", "45"))
                .hasMessageContaining("--drain");
    }

    @Test
    void probesAskForWhatIsServed() throws IOException {
        int probes = 0;
        for (JsonNode pod : pods()) {
            JsonNode container = pod.at("/containers/0");
            List<String> ports = Kustomization.texts(container.path("ports"), "containerPort");
            for (String kind : List.of("startupProbe", "readinessProbe", "livenessProbe")) {
                JsonNode probe = container.path(kind).path("grpc");
                if (!probe.isMissingNode()) {
                    probes++;
                    assertThat(ports).contains(probe.path("port").asText());
                    assertThat(HEALTH).contains(probe.path("service").asText(""));
                    List<String> arguments = Kustomization.texts(container, "args");
                    assertThat(arguments).contains("--port=" + probe.path("port").asText());
                }
            }
        }
        assertThat(probes).isGreaterThan(10);
    }

    @Test
    void podsHaveTimeToDrain() throws IOException {
        JsonNode pod = find("base", "Deployment", "lithe").at("/spec/template/spec");
        int sleep = pod.at("/containers/0/lifecycle/preStop/sleep/seconds").intValue();
        int drain =
                Kustomization.texts(pod.at("/containers/0"), "args").stream()
                        .filter(each -> each.startsWith("--drain-seconds="))
                        .mapToInt(each -> Integer.parseInt(each.substring(each.indexOf('=') + 1)))
                        .sum();
        assertThat(sleep).isPositive();
        assertThat(drain).isPositive();
        assertThat(pod.path("terminationGracePeriodSeconds").intValue())
                .isGreaterThan(sleep + drain);
    }

    @ParameterizedTest
    @MethodSource("kustomizations")
    void namesReferToWhatIsThere(Path folder) throws IOException {
        List<ObjectNode> manifests = Kustomization.render(folder);
        List<JsonNode> labels = new ArrayList<>();
        Set<String> services = new HashSet<>();
        Set<String> deployments = new HashSet<>();
        for (ObjectNode each : manifests) {
            String name = each.at("/metadata/name").textValue();
            switch (each.path("kind").textValue()) {
                case "Service" -> services.add(name);
                case "Deployment" -> {
                    deployments.add(name);
                    labels.add(each.at("/spec/template/metadata/labels"));
                }
                default -> {}
            }
        }
        for (ObjectNode each : manifests) {
            JsonNode selector =
                    each.path("kind").asText().equals("ServiceMonitor")
                            ? each.path("none")
                            : each.at("/spec/selector");
            JsonNode wanted = selector.has("matchLabels") ? selector.path("matchLabels") : selector;
            if (wanted.isObject()) {
                long matches = labels.stream().filter(has -> has(has, wanted)).count();
                assertThat(matches).as("pods of %s in %s", wanted, folder).isEqualTo(1);
            }
            JsonNode target = each.at("/spec/scaleTargetRef/name");
            assertThat(target.isMissingNode() || deployments.contains(target.asText())).isTrue();
            for (JsonNode backend : each.findValues("backendRefs")) {
                assertThat(services).containsAll(Kustomization.texts(backend, "name"));
            }
        }
    }

    private static boolean has(JsonNode labels, JsonNode wanted) {
        return wanted.properties().stream()
                .allMatch(each -> each.getValue().equals(labels.path(each.getKey())));
    }

    @Test
    void podsAreConfined() throws IOException {
        for (JsonNode pod : pods()) {
            JsonNode container = pod.at("/containers/0");
            JsonNode of = container.path("securityContext");
            assertThat(of.path("allowPrivilegeEscalation").asBoolean(true)).isFalse();
            assertThat(of.path("readOnlyRootFilesystem").asBoolean()).isTrue();
            assertThat(of.at("/capabilities/drop/0").asText()).isEqualTo("ALL");
            assertThat(pod.findValue("runAsNonRoot").asBoolean()).isTrue();
            assertThat(container.at("/resources/limits/cpu"))
                    .isEqualTo(container.at("/resources/requests/cpu"));
        }
    }

    /// A pod computes on a GPU where it asks for one, and asks for one where it does.
    @Test
    void podsGetTheDevicesTheyNeed() throws IOException {
        int gpus = 0;
        for (JsonNode pod : pods()) {
            JsonNode container = pod.at("/containers/0");
            JsonNode limit = container.at("/resources/limits/nvidia.com~1gpu");
            boolean wanted = Kustomization.texts(container, "args").contains("--device=cuda");
            assertThat(limit.isMissingNode()).isEqualTo(!wanted);
            assertThat(container.at("/resources/requests/nvidia.com~1gpu")).isEqualTo(limit);
            assertThat(container.path("image").asText()).isEqualTo(wanted ? "lithe-cuda" : "lithe");
            gpus += wanted ? 1 : 0;
        }
        assertThat(gpus).isEqualTo(1);
    }

    /// Workers wait for each other, so all of them run at once.
    @Test
    void aSearchHasAPodForEachWorker() throws IOException {
        JsonNode spec = find("overlays/search", "Job", "lithe-search").path("spec");
        assertThat(spec.path("completionMode").textValue()).isEqualTo("Indexed");
        int pods = spec.path("completions").intValue();
        assertThat(spec.path("parallelism").intValue()).isEqualTo(pods);
        assertThat(spec.path("backoffLimit").intValue()).isGreaterThanOrEqualTo(pods);
        JsonNode pod = spec.at("/template/spec");
        assertThat(Kustomization.texts(pod.at("/containers/0"), "args"))
                .contains("search", "--output=/models/search", "--workers=" + pods);
        assertThat(Kustomization.texts(pod, "claimName")).containsExactly("lithe-models");
    }

    @Test
    void theCommandPrintsItsOwnJob() throws IOException {
        String[] command = {
            "search",
            "/models/own",
            "--max-bytes=30%",
            "--on",
            "kubernetes",
            "--workers",
            "7",
            "--image=registry.example/lithe:2",
            "-o",
            "/models/found"
        };
        JsonNode job = new YAMLMapper().readTree(CommandLines.printed(command));
        validate(job);
        String name = job.at("/metadata/name").textValue();
        assertThat(name).matches("lithe-search-[0-9a-f]{10}");
        assertThat(named(command)).as("the same search").isEqualTo(name);
        for (int part : List.of(1, 2, 6, 7, 9)) {
            String[] other = command.clone();
            other[part] = other[part].replaceAll("[0-9]+|own|found", "8");
            assertThat(named(other)).as(other[part]).isNotEqualTo(name);
        }
        assertThat(job.at("/spec/completions").intValue()).isEqualTo(7);
        assertThat(job.at("/spec/parallelism").intValue()).isEqualTo(7);
        assertThat(job.path("spec").has("suspend")).isFalse();
        JsonNode container = job.at("/spec/template/spec/containers/0");
        assertThat(container.path("image").textValue()).isEqualTo("registry.example/lithe:2");
        assertThat(container.path("args")).allMatch(JsonNode::isTextual); // a 7 would be refused
        List<String> arguments = Kustomization.texts(container, "args");
        assertThat(arguments)
                .containsExactly(
                        "search",
                        "/models/own",
                        "--max-bytes=30%",
                        "--workers",
                        "7",
                        "-o",
                        "/models/found");
        CommandLines.parse(arguments.toArray(String[]::new));
    }

    /// What the Job that `command` prints is called.
    private static String named(String... command) throws IOException {
        return new YAMLMapper()
                .readTree(CommandLines.printed(command))
                .at("/metadata/name")
                .textValue();
    }
}
