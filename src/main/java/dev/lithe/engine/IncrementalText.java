package dev.lithe.engine;

import dev.lithe.tokenize.Tokenizer;
import java.util.Arrays;

/// Turns tokens into text as they come, cut between characters. The pieces joined are what the
/// tokenizer makes of all tokens at once: word pieces decode differently at the start of a text
/// (many tokenizers drop a leading space), so each piece is the difference between two decodings
/// that share a start.
///
/// Only a few tokens are decoded per step. A token of text that breaks inside a character is held
/// back until the rest arrives, for at most [#HELD_TOKENS] tokens: a model that writes no valid
/// UTF-8 gets replacement characters.
final class IncrementalText {
    private static final char REPLACEMENT = '\uFFFD';
    private static final int HELD_TOKENS = 8;

    private final Tokenizer tokenizer;
    private int[] ids = new int[64];
    private int count;

    /// The text of tokens `context..written` is known to be not empty (or `context` is 0), and was
    /// handed out.
    private int context;

    private int written;

    IncrementalText(Tokenizer tokenizer) {
        this.tokenizer = tokenizer;
    }

    /// The text that this token completes; often empty.
    String add(int id) {
        if (count == ids.length) {
            ids = Arrays.copyOf(ids, 2 * count);
        }
        ids[count++] = id;
        String text = unwritten();
        boolean broken = !text.isEmpty() && text.charAt(text.length() - 1) == REPLACEMENT;
        if (text.isEmpty() || broken && count - written < HELD_TOKENS) {
            return "";
        }
        advance();
        return text;
    }

    /// The text still held back.
    String finish() {
        String text = unwritten();
        advance();
        return text;
    }

    private String unwritten() {
        String known = decode(context, written);
        String all = decode(context, count);
        // Bytes that turn out invalid may change how those before them decode; those are gone.
        return all.startsWith(known) ? all.substring(known.length()) : decode(written, count);
    }

    private void advance() {
        if (!decode(written, count).isEmpty()) {
            context = written;
        }
        written = count;
    }

    private String decode(int from, int to) {
        return from == to ? "" : tokenizer.decode(Arrays.copyOfRange(ids, from, to));
    }
}
