package dev.lithe.checkpoint;

import dev.lithe.fault.LitheException;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A model on the hub.
///
/// @param repository `org/name`
/// @param revision a branch, tag or commit
public record HubId(String repository, String revision) {
    private static final String MAIN = "main";
    private static final String WORD = "[A-Za-z0-9][A-Za-z0-9._-]{0,95}";
    private static final Pattern FORM =
            Pattern.compile("(" + WORD + "/" + WORD + ")(?:@([A-Za-z0-9._-]{1,100}))?");

    /// The id that `text` is, if it has that form.
    public static Optional<HubId> of(String text) {
        Matcher parts = FORM.matcher(text);
        if (!parts.matches() || text.contains("..")) {
            return Optional.empty();
        }
        return Optional.of(
                new HubId(parts.group(1), parts.group(2) == null ? MAIN : parts.group(2)));
    }

    /// The same, which must have it.
    public static HubId require(String text) {
        return of(text).orElseThrow(() ->
                LitheException.badInput(
                        "'%s' is no hub id; write org/name, or org/name@revision", text));
    }

    /// As it was written.
    @Override
    public String toString() {
        return revision.equals(MAIN) ? repository : repository + "@" + revision;
    }
}
