package dev.lithe.report;

import java.util.Locale;
import org.apache.commons.text.StringEscapeUtils;

/// A drawing under construction. Colors come from the page's style sheet, by class, so that it
/// follows dark mode and prints.
final class Svg {
    private final StringBuilder elements = new StringBuilder();
    private final int width;
    private final int height;

    Svg(int width, int height) {
        this.width = width;
        this.height = height;
    }

    void line(double x1, double y1, double x2, double y2, String style) {
        add("<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' class='%s'/>", x1, y1, x2, y2, style);
    }

    /// A filled rectangle.
    void bar(double x, double y, double width, double height, String style) {
        add(
                "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' class='%s'/>",
                x, y, width, height, style);
    }

    /// @param title what a pointer that rests on it is told
    void dot(double x, double y, double radius, String style, String title) {
        add(
                "<circle cx='%.1f' cy='%.1f' r='%.1f' class='%s'><title>%s</title></circle>",
                x, y, radius, style, escaped(title));
    }

    /// @param anchor `start`, `middle` or `end`: where `x` is in the text
    void text(double x, double y, String anchor, String text) {
        add("<text x='%.1f' y='%.1f' text-anchor='%s'>%s</text>", x, y, anchor, escaped(text));
    }

    private void add(String element, Object... values) {
        elements.append(String.format(Locale.ROOT, element, values)).append('\n');
    }

    private static String escaped(String text) {
        return StringEscapeUtils.escapeXml11(text);
    }

    /// The drawing, which those who do not see it know by `description`.
    String describedAs(String description) {
        return "<svg viewBox='0 0 %d %d' role='img' aria-label='%s'>\n%s</svg>"
                .formatted(width, height, escaped(description), elements);
    }
}
