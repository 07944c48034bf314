package dev.lithe.serve;

import dev.lithe.fault.LitheException;
import dev.lithe.route.Variant;
import dev.lithe.tokenize.ChatTemplate;
import jakarta.inject.Singleton;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/// The chat templates of the served folders, each read when it is first asked for.
@Singleton
class ChatTemplates {
    private final Map<Path, Optional<ChatTemplate>> known = new ConcurrentHashMap<>();

    /// A variant's template.
    ///
    /// @throws LitheException where it has none
    ChatTemplate of(Variant variant) {
        return known.computeIfAbsent(variant.folder(), ChatTemplate::open)
                .orElseThrow(() ->
                        LitheException.badField(
                                "messages",
                                "the model of '%s' has no chat template;"
                                        + " use /v1/completions, or add chat_template.jinja to its"
                                        + " folder",
                                variant.name()));
    }
}
