package dev.lithe.fault;

import com.google.errorprone.annotations.FormatMethod;
import com.google.errorprone.annotations.FormatString;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// The one exception type of Lithe. Its message is a single line that holds the value, the limit
/// and the next step; line breaks that come in with a value are taken out, and the middle of a
/// message that a value makes too long.
public final class LitheException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private static final int MAX_HEAD = 500;
    private static final int MAX_TAIL = 200;

    private final Fault fault;
    private final @Nullable String field;
    private final @Nullable Duration retry;

    private LitheException(
            Fault fault, @Nullable String field, String message, @Nullable Throwable cause) {
        this(fault, field, null, message, cause);
    }

    private LitheException(
            Fault fault,
            @Nullable String field,
            @Nullable Duration retry,
            String message,
            @Nullable Throwable cause) {
        super(oneLine(message), cause);
        this.fault = fault;
        this.field = field;
        this.retry = retry;
    }

    private static String oneLine(String message) {
        String line = message.strip().replaceAll("[\\p{Cntrl}\u2028\u2029]+", " ");
        if (line.length() <= MAX_HEAD + MAX_TAIL) {
            return line;
        }
        return line.substring(0, MAX_HEAD) + " ... " + line.substring(line.length() - MAX_TAIL);
    }

    /// A wrong request, option, recipe or file.
    @FormatMethod
    public static LitheException badInput(String format, @Nullable Object... args) {
        return of(Fault.BAD_INPUT, format, args);
    }

    /// One wrong field of a request or record; the message starts with its name.
    @FormatMethod
    public static LitheException badField(
            String field, @FormatString String format, @Nullable Object... args) {
        String message = field + ": " + String.format(Locale.ROOT, format, args);
        return new LitheException(Fault.BAD_INPUT, field, message, null);
    }

    /// Something that failed without the user's doing; `cause` is kept for `--verbose`.
    public static LitheException internal(String message, Throwable cause) {
        return new LitheException(Fault.INTERNAL, null, message, cause);
    }

    /// Any other kind of trouble.
    @FormatMethod
    public static LitheException of(Fault fault, String format, @Nullable Object... args) {
        return new LitheException(fault, null, String.format(Locale.ROOT, format, args), null);
    }

    /// The same trouble with `cause` kept for `--verbose`.
    public LitheException causedBy(Throwable cause) {
        return new LitheException(fault, field, retry, getMessage(), cause);
    }

    /// The same trouble, which is likely to be over after so long.
    public LitheException retryAfter(Duration wait) {
        return new LitheException(fault, field, wait, getMessage(), getCause());
    }

    /// When another try is likely to succeed, where that was estimated.
    public Optional<Duration> retry() {
        return Optional.ofNullable(retry);
    }

    /// What kind of trouble this is.
    public Fault fault() {
        return fault;
    }

    /// The field at fault, as [#badField] was told.
    public Optional<String> field() {
        return Optional.ofNullable(field);
    }

    @Override
    public String getMessage() {
        return String.valueOf(super.getMessage());
    }
}
