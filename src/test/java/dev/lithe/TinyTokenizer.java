package dev.lithe;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/// A `tokenizer.json` of any size: a start and an end token, one token per byte, no merges, and
/// fillers that no text produces.
final class TinyTokenizer {
    static final int BOS = 0;
    static final int EOS = 1;

    private static final int FIRST_BYTE = 2;
    private static final JsonMapper JSON = new JsonMapper();

    private TinyTokenizer() {}

    static ObjectNode json(int vocabSize) {
        ObjectNode root = JSON.createObjectNode().put("version", "1.0");
        ArrayNode added = root.putArray("added_tokens");
        special(added, BOS, "<|bos|>");
        special(added, EOS, "<|eos|>");
        root.putObject("pre_tokenizer")
                .put("type", "ByteLevel")
                .put("add_prefix_space", false)
                .put("trim_offsets", true)
                .put("use_regex", true);
        root.putObject("decoder")
                .put("type", "ByteLevel")
                .put("add_prefix_space", true)
                .put("trim_offsets", true)
                .put("use_regex", true);
        startEachTextWithBos(root.putObject("post_processor"));
        ObjectNode model = root.putObject("model").put("type", "BPE");
        ObjectNode vocab = model.putObject("vocab");
        for (int id = 0; id < vocabSize; id++) {
            vocab.put(token(id), id);
        }
        model.putArray("merges");
        return root;
    }

    private static void special(ArrayNode added, int id, String content) {
        added.addObject()
                .put("id", id)
                .put("content", content)
                .put("single_word", false)
                .put("lstrip", false)
                .put("rstrip", false)
                .put("normalized", false)
                .put("special", true);
    }

    private static void startEachTextWithBos(ObjectNode processor) {
        processor.put("type", "TemplateProcessing");
        ArrayNode single = processor.putArray("single");
        single.addObject().putObject("SpecialToken").put("id", "<|bos|>").put("type_id", 0);
        single.addObject().putObject("Sequence").put("id", "A").put("type_id", 0);
        ArrayNode pair = processor.putArray("pair");
        pair.addObject().putObject("Sequence").put("id", "A").put("type_id", 0);
        pair.addObject().putObject("Sequence").put("id", "B").put("type_id", 1);
        ObjectNode bos = processor.putObject("special_tokens").putObject("<|bos|>");
        bos.put("id", "<|bos|>").putArray("ids").add(BOS);
        bos.putArray("tokens").add("<|bos|>");
    }

    private static String token(int id) {
        return switch (id) {
            case BOS -> "<|bos|>";
            case EOS -> "<|eos|>";
            default ->
                    id < FIRST_BYTE + 256
                            ? String.valueOf(byteSymbol(id - FIRST_BYTE))
                            : "<filler" + id + ">";
        };
    }

    /// How byte-level tokenizers write a byte: printable Latin-1 as itself, the rest from U+0100
    /// on.
    private static char byteSymbol(int value) {
        int hidden = 0;
        for (int b = 0; b < value; b++) {
            hidden += isPrintable(b) ? 0 : 1;
        }
        return (char) (isPrintable(value) ? value : 256 + hidden);
    }

    private static boolean isPrintable(int b) {
        return b > 32 && b < 127 || b > 160 && b != 173;
    }
}
