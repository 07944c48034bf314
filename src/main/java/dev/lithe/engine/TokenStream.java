package dev.lithe.engine;

import dev.lithe.tokenize.Tokenizer;
import java.util.List;
import java.util.Optional;

/// Tokens in, text out: whole characters, free of stop strings.
final class TokenStream {
    private final IncrementalText text;
    private final StopMatcher stops;

    TokenStream(Tokenizer tokenizer, List<String> stopStrings) {
        this.text = new IncrementalText(tokenizer);
        this.stops = new StopMatcher(stopStrings);
    }

    /// The text that may be handed out after this token; often empty.
    String add(int id) {
        return stops.add(text.add(id));
    }

    /// The rest, once no token follows. Look at [#stopString] after it, too: the rest may hold one.
    String finish() {
        if (stops.matched().isPresent()) {
            return "";
        }
        String rest = stops.add(text.finish());
        return stops.matched().isPresent() ? rest : rest + stops.finish();
    }

    /// The stop string that ended the text.
    Optional<String> stopString() {
        return stops.matched();
    }
}
