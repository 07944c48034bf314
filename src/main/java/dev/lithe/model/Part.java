package dev.lithe.model;

import dev.lithe.model.LinearName.Slot;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.SequencedSet;
import java.util.TreeMap;

/// The names of a part of a model that is compressed at a time: the embedding, one block, or the
/// output layer with the norm before it.
///
/// @param block its number, or -1
/// @param linears in the order in which data passes them
/// @param norms the tensors with their scales, in the order in which data passes them
public record Part(Kind kind, int block, List<LinearName> linears, Map<Norm, String> norms) {
    /// Which part of a model.
    public enum Kind {
        EMBEDDING,
        BLOCK,
        OUTPUT
    }

    public Part {
        linears = List.copyOf(linears);
        norms = Collections.unmodifiableMap(new TreeMap<>(norms));
    }

    /// Its slots, in the order in which data passes them.
    public SequencedSet<Slot> slots() {
        SequencedSet<Slot> slots = new LinkedHashSet<>();
        linears.forEach(linear -> slots.add(linear.slot()));
        return slots;
    }

    /// Its linears that read the same input.
    public List<LinearName> linears(Slot slot) {
        return linears.stream().filter(linear -> linear.slot() == slot).toList();
    }

    /// For people: `embedding`, `block 3`, `output`.
    public String label() {
        return switch (kind) {
            case EMBEDDING -> "embedding";
            case BLOCK -> "block " + block;
            case OUTPUT -> "output";
        };
    }
}
