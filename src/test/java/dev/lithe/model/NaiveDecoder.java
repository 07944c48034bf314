package dev.lithe.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.RawTensor;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;

/// The forward pass written out in loops over doubles, one position after the other, straight from
/// config.json and the tensors: Llama's, and what sets Mistral, Qwen, Phi and Gemma apart. It
/// shares no code with the program.
final class NaiveDecoder implements Naive {
    private static final String SPARSE = "lithe_sparse_attention";
    private static final String PAGES = "lithe_page_attention";

    private final JsonNode config;
    private final Map<String, float[]> weights = new HashMap<>();
    private final int hidden;
    private final int heads;
    private final int kvHeads;
    private final int headDim;
    private final String type;
    private final boolean gemma;
    private final double[] frequencies;
    private final double[] localFrequencies;
    private UnaryOperator<double[]> keptKeys = UnaryOperator.identity();
    private UnaryOperator<double[]> keptValues = UnaryOperator.identity();

    NaiveDecoder(JsonNode config, Map<String, RawTensor> tensors) {
        this.config = config;
        tensors.forEach((name, tensor) -> weights.put(name, tensor.floats()));
        this.hidden = config.path("hidden_size").asInt();
        this.heads = config.path("num_attention_heads").asInt();
        this.kvHeads = config.path("num_key_value_heads").asInt();
        this.headDim = config.path("head_dim").asInt();
        this.type = config.path("model_type").asText().replaceFirst("^lithe-", "");
        this.gemma = type.startsWith("gemma");
        double theta = config.path("rope_theta").asDouble();
        this.frequencies = frequencies(theta, config.path("rope_scaling"));
        this.localFrequencies =
                config.has("rope_local_base_freq")
                        ? frequencies(
                                config.path("rope_local_base_freq").asDouble(), config.path("none"))
                        : frequencies;
    }

    /// What becomes of each head's keys and values before attention sees them.
    NaiveDecoder keeping(UnaryOperator<double[]> keys, UnaryOperator<double[]> values) {
        keptKeys = keys;
        keptValues = values;
        return this;
    }

    @Override
    public double[][] logits(int... ids) {
        double[][] x = new double[ids.length][];
        for (int t = 0; t < ids.length; t++) {
            x[t] = row("model.embed_tokens.weight", ids[t], hidden);
            for (int i = 0; gemma && i < hidden; i++) {
                x[t][i] *= Math.sqrt(hidden);
            }
        }
        for (int layer = 0; layer < config.path("num_hidden_layers").asInt(); layer++) {
            JsonNode parts = config.path("block_configs").path(layer);
            if (!parts.path("attention").path("no_op").asBoolean()) {
                attention(x, layer);
            }
            if (!parts.path("ffn").path("no_op").asBoolean()) {
                feedForward(x, layer);
            }
        }
        boolean tied = config.path("tie_word_embeddings").asBoolean();
        String output = tied ? "model.embed_tokens" : "lm_head";
        double[][] logits = new double[ids.length][];
        for (int t = 0; t < ids.length; t++) {
            logits[t] = linear(output, norm("model.norm", x[t]));
            cap(logits[t], "final_logit_softcapping");
        }
        return logits;
    }

    private void cap(double[] x, String key) {
        double cap = config.path(key).asDouble();
        for (int i = 0; cap > 0 && i < x.length; i++) {
            x[i] = cap * Math.tanh(x[i] / cap);
        }
    }

    /// How many positions a block sees, its own included.
    private int window(int layer) {
        boolean windowed =
                switch (type) {
                    case "mistral", "phi3" -> true;
                    case "qwen2", "qwen3" ->
                            config.path("use_sliding_window").asBoolean()
                                    && layer >= config.path("max_window_layers").asInt();
                    case "gemma2" -> layer % 2 == 0;
                    case "gemma3_text" ->
                            layer % config.path("sliding_window_pattern").asInt()
                                    != config.path("sliding_window_pattern").asInt() - 1;
                    default -> false;
                };
        return windowed && config.hasNonNull("sliding_window")
                ? config.path("sliding_window").asInt()
                : Integer.MAX_VALUE;
    }

    private void attention(double[][] x, int layer) {
        String name = "model.layers." + layer + ".";
        int window = window(layer);
        boolean chooses =
                config.has(PAGES)
                        && layer >= config.path(PAGES).path("dense").asInt()
                        && window == Integer.MAX_VALUE;
        double[] turns = window < Integer.MAX_VALUE ? localFrequencies : frequencies;
        boolean headNorms = type.equals("qwen3") || type.equals("gemma3_text");
        double[][] q = new double[x.length][];
        double[][] k = new double[x.length][];
        double[][] v = new double[x.length][];
        for (int t = 0; t < x.length; t++) {
            double[] y = norm(name + "input_layernorm", x[t]);
            q[t] = projection(name, "q_proj", y);
            k[t] = projection(name, "k_proj", y);
            v[t] = byHead(projection(name, "v_proj", y), keptValues);
            if (headNorms) {
                q[t] = byHead(q[t], head -> norm(name + "self_attn.q_norm", head));
                k[t] = byHead(k[t], head -> norm(name + "self_attn.k_norm", head));
            }
            if (!config.has(SPARSE)) {
                q[t] = rotate(q[t], heads, t, turns);
                k[t] = byHead(rotate(k[t], kvHeads, t, turns), keptKeys);
            }
        }
        int heavy = config.path(SPARSE).path("heavy").asInt();
        var hitters =
                new NaiveHeavyHitters(
                        kvHeads,
                        config.path(SPARSE).path("sinks").asInt(),
                        heavy,
                        config.path(SPARSE).path("window").asInt(),
                        config.path(SPARSE).path("context").asInt());
        for (int t = 0; t < x.length; t++) {
            double[] seen =
                    heavy > 0
                            ? attendKept(q[t], k, v, t, window, hitters, turns)
                            : config.has(SPARSE)
                                    ? attendSome(q[t], k, v, seen(t, window), turns)
                                    : attend(q[t], k, v, t, window, chooses);
            double[] o = linear(name + "self_attn.o_proj", seen);
            add(x[t], outputNorms() ? norm(name + "post_attention_layernorm", o) : o);
        }
    }

    /// Whether what attention and feed-forward part add is normed.
    private boolean outputNorms() {
        return type.equals("gemma2") || type.equals("gemma3_text");
    }

    private void feedForward(double[][] x, int layer) {
        String name = "model.layers." + layer + ".";
        for (int t = 0; t < x.length; t++) {
            double[] y =
                    norm(
                            name
                                    + (outputNorms()
                                            ? "pre_feedforward_layernorm"
                                            : "post_attention_layernorm"),
                            x[t]);
            double[] gate = projection(name, "gate_proj", y);
            double[] up = projection(name, "up_proj", y);
            for (int i = 0; i < up.length; i++) {
                up[i] *= activation(gate[i]);
            }
            double[] down = linear(name + "mlp.down_proj", up);
            add(x[t], outputNorms() ? norm(name + "post_feedforward_layernorm", down) : down);
        }
    }

    private double activation(double x) {
        return gemma
                ? 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)))
                : x / (1 + Math.exp(-x));
    }

    /// A linear of its own, or its rows of the one that Phi keeps it in.
    private double[] projection(String block, String part, double[] x) {
        int q = heads * headDim;
        int kv = kvHeads * headDim;
        int f = config.path("intermediate_size").asInt();
        boolean fused = type.equals("phi3");
        return switch (part) {
            case "q_proj", "k_proj", "v_proj" -> {
                if (!fused) {
                    yield linear(block + "self_attn." + part, x);
                }
                double[] qkv = linear(block + "self_attn.qkv_proj", x);
                int first = part.equals("q_proj") ? 0 : part.equals("k_proj") ? q : q + kv;
                yield Arrays.copyOfRange(qkv, first, first + (first == 0 ? q : kv));
            }
            default -> {
                if (!fused) {
                    yield linear(block + "mlp." + part, x);
                }
                double[] both = linear(block + "mlp.gate_up_proj", x);
                int first = part.equals("gate_proj") ? 0 : f;
                yield Arrays.copyOfRange(both, first, first + f);
            }
        };
    }

    private double[] byHead(double[] x, UnaryOperator<double[]> change) {
        double[] result = new double[x.length];
        for (int first = 0; first < x.length; first += headDim) {
            double[] head = change.apply(Arrays.copyOfRange(x, first, first + headDim));
            System.arraycopy(head, 0, result, first, headDim);
        }
        return result;
    }

    /// The sinks and the window, or the block's own window where that is shorter.
    private int[] seen(int position, int ownWindow) {
        int sinks = config.path(SPARSE).path("sinks").asInt();
        int window = config.path(SPARSE).path("window").asInt();
        boolean own = ownWindow <= window;
        return IntStream.rangeClosed(0, position)
                .filter(j -> j > position - (own ? ownWindow : window) || !own && j < sinks)
                .toArray();
    }

    /// As the authors of StreamingLLM have it: keys are kept as they are, and turned by their place
    /// among those that are seen.
    private double[] attendSome(
            double[] q, double[][] k, double[][] v, int[] seen, double[] turns) {
        double[][] keys = new double[seen.length][];
        double[][] values = new double[seen.length][];
        for (int i = 0; i < seen.length; i++) {
            keys[i] = rotate(k[seen[i]], kvHeads, i, turns);
            values[i] = v[seen[i]];
        }
        int last = seen.length - 1;
        return attend(rotate(q, heads, last, turns), keys, values, last, Integer.MAX_VALUE, false);
    }

    /// Every key-value head keeps its own positions.
    private double[] attendKept(
            double[] q,
            double[][] k,
            double[][] v,
            int position,
            int window,
            NaiveHeavyHitters hitters,
            double[] turns) {
        double[] result = new double[heads * headDim];
        int group = heads / kvHeads;
        for (int shared = 0; shared < kvHeads; shared++) {
            int place = hitters.place(position, position);
            List<Integer> seen =
                    hitters.next(shared, position).stream()
                            .filter(j -> place - hitters.place(j, position) < window)
                            .toList();
            double[][] keys = new double[seen.size()][];
            double[][] values = new double[seen.size()][];
            for (int i = 0; i < keys.length; i++) {
                keys[i] =
                        rotate(
                                k[seen.get(i)],
                                kvHeads,
                                hitters.place(seen.get(i), position),
                                turns);
                values[i] = v[seen.get(i)];
            }
            int[] all = IntStream.range(0, keys.length).toArray();
            double[] turned = rotate(q, heads, place, turns);
            for (int head = shared * group; head < (shared + 1) * group; head++) {
                double[] weights = new double[keys.length];
                attendHead(head, turned, keys, values, all, result, weights);
                hitters.gave(shared, seen, weights);
            }
        }
        return result;
    }

    /// Attention of the query at `position` over the positions up to it, as far back as it sees, or
    /// over the pages that each head chooses.
    private double[] attend(
            double[] q, double[][] k, double[][] v, int position, int window, boolean chooses) {
        double[] result = new double[heads * headDim];
        int first = Math.max(0, position - window + 1);
        for (int head = 0; head < heads; head++) {
            int shared = head / (heads / kvHeads) * headDim;
            int[] seen =
                    chooses
                            ? pages(q, head * headDim, k, shared, position)
                            : IntStream.rangeClosed(first, position).toArray();
            attendHead(head, q, k, v, seen, result, new double[position + 1]);
        }
        return result;
    }

    /// One head's part of it over the positions `seen`, into `result`, and what it gives to each,
    /// into `given`.
    private void attendHead(
            int head,
            double[] q,
            double[][] k,
            double[][] v,
            int[] seen,
            double[] result,
            double[] given) {
        double width = config.path("query_pre_attn_scalar").asDouble(headDim);
        int shared = head / (heads / kvHeads) * headDim;
        double sum = 0;
        for (int s : seen) {
            double dot = 0;
            for (int i = 0; i < headDim; i++) {
                dot += q[head * headDim + i] * k[s][shared + i];
            }
            double[] score = {dot / Math.sqrt(width)};
            cap(score, "attn_logit_softcapping");
            given[s] = Math.exp(score[0]);
            sum += given[s];
        }
        for (int s : seen) {
            given[s] /= sum;
            for (int i = 0; i < headDim; i++) {
                result[head * headDim + i] += given[s] * v[s][shared + i];
            }
        }
    }

    /// Positions of the best pages before the query's own, and its own page up to itself.
    private int[] pages(double[] q, int head, double[][] k, int shared, int position) {
        int page = config.path(PAGES).path("page").asInt();
        int own = position / page;
        List<Integer> best =
                IntStream.range(0, own)
                        .boxed()
                        .sorted(
                                Comparator.comparingDouble(
                                        each -> -bound(q, head, k, shared, each * page, page)))
                        .limit(config.path(PAGES).path("pages").asInt())
                        .toList();
        return IntStream.rangeClosed(0, position)
                .filter(s -> s / page == own || best.contains(s / page))
                .toArray();
    }

    private double bound(double[] q, int head, double[][] k, int shared, int first, int page) {
        double bound = 0;
        for (int i = 0; i < headDim; i++) {
            int j = shared + i;
            double[] numbers =
                    IntStream.range(first, first + page).mapToDouble(s -> k[s][j]).toArray();
            double least = Arrays.stream(numbers).min().orElseThrow();
            double greatest = Arrays.stream(numbers).max().orElseThrow();
            bound += Math.max(q[head + i] * least, q[head + i] * greatest);
        }
        return bound;
    }

    /// Turns the pair (i, i + r / 2) of every head by position times frequency; what lies behind
    /// the first r coordinates stays.
    private double[] rotate(double[] x, int count, int position, double[] frequencies) {
        int half = frequencies.length;
        double[] result = x.clone();
        for (int head = 0; head < count; head++) {
            for (int i = 0; i < half; i++) {
                double angle = position * frequencies[i];
                double a = x[head * headDim + i];
                double b = x[head * headDim + half + i];
                result[head * headDim + i] = a * Math.cos(angle) - b * Math.sin(angle);
                result[head * headDim + half + i] = b * Math.cos(angle) + a * Math.sin(angle);
            }
        }
        return result;
    }

    private double[] frequencies(double theta, JsonNode scaling) {
        int width = (int) (headDim * config.path("partial_rotary_factor").asDouble(1));
        double[] result = new double[width / 2];
        for (int i = 0; i < result.length; i++) {
            double frequency = Math.pow(theta, -2.0 * i / width);
            result[i] =
                    switch (scaling.path("rope_type").asText()) {
                        case "llama3" -> stretched(frequency, scaling);
                        case "linear" -> frequency / scaling.path("factor").asDouble();
                        case "longrope" ->
                                frequency / scaling.path("short_factor").path(i).asDouble();
                        default -> frequency;
                    };
        }
        return result;
    }

    /// Llama 3's rule: long waves are slowed by the factor, short ones stay, and between the two
    /// the slowing fades out linearly in the number of turns within the original context.
    private static double stretched(double frequency, JsonNode scaling) {
        double turns =
                scaling.path("original_max_position_embeddings").asDouble()
                        * frequency
                        / (2 * Math.PI);
        double low = scaling.path("low_freq_factor").asDouble();
        double high = scaling.path("high_freq_factor").asDouble();
        double kept = Math.clamp((turns - low) / (high - low), 0, 1);
        return frequency * (kept + (1 - kept) / scaling.path("factor").asDouble());
    }

    private double[] norm(String name, double[] x) {
        double sum = 0;
        for (double value : x) {
            sum += value * value;
        }
        double root = Math.sqrt(sum / x.length + config.path("rms_norm_eps").asDouble());
        float[] scale = weights.get(name + ".weight");
        double[] result = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            result[i] = x[i] / root * (gemma ? 1 + scale[i] : scale[i]);
        }
        return result;
    }

    private double[] linear(String name, double[] x) {
        float[] weight = weights.get(name + ".weight");
        float[] bias = weights.get(name + ".bias");
        double[] y = new double[weight.length / x.length];
        for (int n = 0; n < y.length; n++) {
            double sum = bias == null ? 0 : bias[n];
            for (int i = 0; i < x.length; i++) {
                sum += weight[n * x.length + i] * x[i];
            }
            y[n] = sum;
        }
        return y;
    }

    private double[] row(String name, int row, int width) {
        double[] result = new double[width];
        for (int i = 0; i < width; i++) {
            result[i] = weights.get(name)[row * width + i];
        }
        return result;
    }

    private static void add(double[] x, double[] y) {
        for (int i = 0; i < x.length; i++) {
            x[i] += y[i];
        }
    }
}
