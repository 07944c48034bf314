package dev.lithe.deploy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import jakarta.json.Json;
import jakarta.json.JsonReader;
import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Set;

/// Renders what `k8s/` uses of kustomize: resources, JSON patches, name suffixes and labels. What
/// else a kustomization says is refused, so that nothing is left out unseen.
final class Kustomization {
    private static final ObjectMapper YAML = new ObjectMapper(new YAMLFactory());
    private static final String FILE = "kustomization.yaml";
    private static final Set<String> KNOWN =
            Set.of("apiVersion", "kind", "resources", "patches", "nameSuffix", "labels");

    private Kustomization() {}

    /// The manifests that a folder stands for.
    static List<ObjectNode> render(Path folder) throws IOException {
        JsonNode kustomization = YAML.readTree(folder.resolve(FILE).toFile());
        kustomization
                .fieldNames()
                .forEachRemaining(name -> {
                    if (!KNOWN.contains(name)) {
                        throw new IllegalArgumentException(folder + ": unknown " + name);
                    }
                });
        List<ObjectNode> manifests = new ArrayList<>();
        for (JsonNode resource : kustomization.path("resources")) {
            Path path = folder.resolve(resource.textValue()).normalize();
            manifests.addAll(Files.isDirectory(path) ? render(path) : read(path));
        }
        for (JsonNode patch : kustomization.path("patches")) {
            manifests = patched(manifests, patch);
        }
        for (JsonNode labels : kustomization.path("labels")) {
            label(manifests, labels);
        }
        suffix(manifests, kustomization.path("nameSuffix").asText(""));
        return manifests;
    }

    /// The manifests of one file.
    static List<ObjectNode> read(Path file) throws IOException {
        try (MappingIterator<ObjectNode> all =
                YAML.readerFor(ObjectNode.class).readValues(file.toFile())) {
            return all.readAll();
        }
    }

    private static List<ObjectNode> patched(List<ObjectNode> manifests, JsonNode patch)
            throws IOException {
        List<ObjectNode> result = new ArrayList<>();
        int found = 0;
        String operations = YAML.readTree(patch.path("patch").textValue()).toString();
        for (ObjectNode manifest : manifests) {
            JsonNode target = patch.path("target");
            if (manifest.path("kind").equals(target.path("kind"))
                    && manifest.at("/metadata/name").equals(target.path("name"))) {
                found++;
                try (JsonReader of = Json.createReader(new StringReader(operations));
                        JsonReader to = Json.createReader(new StringReader(manifest.toString()))) {
                    String changed = Json.createPatch(of.readArray()).apply(to.readObject()) + "";
                    result.add((ObjectNode) YAML.readTree(changed));
                }
            } else {
                result.add(manifest);
            }
        }
        if (found != 1) {
            throw new IllegalArgumentException(found + " targets of " + patch);
        }
        return result;
    }

    private static void label(List<ObjectNode> manifests, JsonNode labels) {
        for (ObjectNode manifest : manifests) {
            add(manifest.withObject("/metadata").withObject("/labels"), labels);
            JsonNode selector = manifest.at("/spec/selector");
            if (selector instanceof ObjectNode of) {
                add(selector.has("matchLabels") ? of.withObject("/matchLabels") : of, labels);
            }
            if (manifest.at("/spec/template/metadata") instanceof ObjectNode template) {
                add(template.withObject("/labels"), labels);
            }
            JsonNode spread = manifest.at("/spec/template/spec/topologySpreadConstraints");
            if (spread instanceof ArrayNode each) {
                each.forEach(one -> add((ObjectNode) one.at("/labelSelector/matchLabels"), labels));
            }
        }
    }

    private static void add(ObjectNode to, JsonNode labels) {
        to.setAll((ObjectNode) labels.path("pairs"));
    }

    private static void suffix(List<ObjectNode> manifests, String suffix) {
        for (ObjectNode manifest : manifests) {
            ObjectNode metadata = (ObjectNode) manifest.path("metadata");
            metadata.put("name", metadata.path("name").textValue() + suffix);
        }
    }

    /// Every text in a manifest under a field of this name, at any depth.
    static List<String> texts(JsonNode in, String field) {
        List<String> found = new ArrayList<>();
        for (JsonNode each : in.findValues(field)) {
            Iterator<JsonNode> values = each.isArray() ? each.elements() : List.of(each).iterator();
            values.forEachRemaining(value -> found.add(value.asText()));
        }
        return found;
    }
}
