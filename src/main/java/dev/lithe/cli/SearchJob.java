package dev.lithe.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLGenerator;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.lithe.checkpoint.Sha256;
import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// A search as an indexed Job of a Kubernetes cluster, one pod for each worker: that of
/// `k8s/overlays/search` with a user's arguments, ready for `kubectl apply -f -`. Its name ends in
/// a hash of all else in it: two searches have two Jobs, and the same one again is the same Job.
final class SearchJob {
    private static final String TEMPLATE = "/k8s/search/job.yaml";

    /// Pods that may fail, for each worker.
    private static final int RETRIES = 4;

    /// Hexadecimal digits that tell Jobs apart.
    private static final int DIGITS = 10;

    private static final YAMLMapper YAML =
            YAMLMapper.builder()
                    .disable(YAMLGenerator.Feature.WRITE_DOC_START_MARKER)
                    .enable(YAMLGenerator.Feature.MINIMIZE_QUOTES)
                    .enable(YAMLGenerator.Feature.ALWAYS_QUOTE_NUMBERS_AS_STRINGS)
                    .enable(YAMLGenerator.Feature.INDENT_ARRAYS_WITH_INDICATOR)
                    .build();

    private SearchJob() {}

    /// The manifest, as YAML.
    ///
    /// @param arguments of the command line, `search` first; where they are paths, those of the
    ///   pods
    /// @param image what the pods run, or null for the template's, which a kustomization names
    static String of(List<String> arguments, int workers, @Nullable String image) {
        try (InputStream file = SearchJob.class.getResourceAsStream(TEMPLATE)) {
            ObjectNode job = (ObjectNode) YAML.readTree(Objects.requireNonNull(file, TEMPLATE));
            ObjectNode spec = job.withObject("/spec");
            spec.put("completions", workers).put("parallelism", workers);
            spec.put("backoffLimit", RETRIES * workers);
            spec.remove("suspend"); // Kueue's, who may not be there
            job.withObject("/metadata/labels").remove("kueue.x-k8s.io/queue-name");
            JsonNode pod = spec.at("/template/spec/containers/0");
            ArrayNode args = ((ObjectNode) pod).putArray("args");
            without(arguments, "--on", "--image", "--worker").forEach(args::add);
            if (image != null) {
                ((ObjectNode) pod).put("image", image);
            }
            ObjectNode metadata = job.withObject("/metadata");
            metadata.put("name", metadata.path("name").asText() + "-" + fingerprint(job));
            return YAML.writeValueAsString(job);
        } catch (IOException e) {
            throw LitheException.internal(TEMPLATE + " cannot be read", e);
        }
    }

    private static String fingerprint(ObjectNode job) {
        return Sha256.of(job.toString().getBytes(StandardCharsets.UTF_8)).substring(0, DIGITS);
    }

    /// Drops options that take a value, written `--name value` or `--name=value`.
    private static List<String> without(List<String> arguments, String... names) {
        List<String> dropped = List.of(names);
        List<String> kept = new ArrayList<>();
        for (int i = 0; i < arguments.size(); i++) {
            String each = arguments.get(i);
            if (dropped.contains(each)) {
                i++;
            } else if (dropped.stream().noneMatch(name -> each.startsWith(name + "="))) {
                kept.add(each);
            }
        }
        return kept;
    }
}
