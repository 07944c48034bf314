package dev.lithe.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName.Slot;
import java.util.ArrayList;
import java.util.List;

/// Magnitudes below which the inputs of a block's linears count as 0, so that the weights that
/// would meet them need not be read.
///
/// A model that has them says so in `config.json`, as `"lithe_activation_sparsity": {"format":
/// "lithe.activation_sparsity/v1", "dense_positions": 0, "thresholds": [[0.1, 0.02, 0.3, 0.004],
/// ...]}`: for each block those of the inputs of q, k and v, of o, of gate and up, and of down.
/// Tokens at the first `dense_positions` of a text keep all inputs. Other programs ignore it and
/// compute with all.
///
/// @param ofBlocks one list for each block, or none: then no input is too small
/// @param densePositions at the start of a text that keep all inputs
public record ActivationThresholds(List<List<Double>> ofBlocks, int densePositions) {
    /// Of a model that says nothing.
    public static final ActivationThresholds NONE = new ActivationThresholds(List.of(), 0);

    /// Slots of a block that have one, in this order.
    public static final List<Slot> SLOTS = List.of(Slot.QKV, Slot.O, Slot.GATE_UP, Slot.DOWN);

    private static final String KEY = "lithe_activation_sparsity";
    private static final String FORMAT = "lithe.activation_sparsity/v1";
    private static final String POSITIONS = "dense_positions";

    public ActivationThresholds {
        ofBlocks = ofBlocks.stream().map(List::copyOf).toList();
    }

    /// What `config`, which `where` names in errors, says of a model of so many blocks.
    static ActivationThresholds of(ConfigReader config, int blocks, String where) {
        if (!config.has(KEY)) {
            return NONE;
        }
        ConfigReader section = config.section(KEY, FORMAT);
        JsonNode lists = section.get("thresholds");
        if (lists.size() != blocks) {
            throw LitheException.badInput(
                    "%s: %s has thresholds of %d blocks, and the model has %d; let"
                            + " activation_sparsity follow what changes the number of blocks",
                    where, KEY, lists.size(), blocks);
        }
        List<List<Double>> all = new ArrayList<>();
        for (JsonNode list : lists) {
            List<Double> each = new ArrayList<>();
            list.forEach(number -> each.add(threshold(number)));
            if (each.size() != SLOTS.size()
                    || !each.stream().allMatch(least -> least >= 0 && least <= Float.MAX_VALUE)) {
                throw LitheException.badInput(
                        "%s: %s has the thresholds %s; each block needs %d numbers from 0",
                        where, KEY, list, SLOTS.size());
            }
            all.add(each);
        }
        return new ActivationThresholds(all, section.countFromZero(POSITIONS, 0));
    }

    /// What the kernels, which compute in floats, would see as 0 is 0.
    private static double threshold(JsonNode number) {
        double least = number.isNumber() ? number.asDouble() : Double.NaN;
        return (float) least == 0 ? 0 : least;
    }

    /// Says it in `config`, in place of what that said.
    public void describe(ObjectNode config) {
        config.remove(KEY);
        if (!ofBlocks.isEmpty()) {
            ObjectNode section = config.putObject(KEY);
            section.put("format", FORMAT).put(POSITIONS, densePositions);
            ArrayNode lists = section.putArray("thresholds");
            ofBlocks.forEach(each -> {
                ArrayNode list = lists.addArray();
                each.forEach(list::add);
            });
        }
    }

    /// Those of one block, all 0 where there are none.
    public List<Double> of(int block) {
        return ofBlocks.isEmpty() ? List.of(0.0, 0.0, 0.0, 0.0) : ofBlocks.get(block);
    }

    /// As the kernels of `decoder.py` take them: `densePositions`, then those of each of `blocks`;
    /// nothing where there are none.
    double[] numbers(List<Integer> blocks) {
        if (ofBlocks.isEmpty()) {
            return new double[0];
        }
        List<Double> numbers = new ArrayList<>();
        numbers.add((double) densePositions);
        blocks.forEach(block -> numbers.addAll(of(block)));
        return numbers.stream().mapToDouble(Double::doubleValue).toArray();
    }
}
