package dev.lithe.tokenize;

import dev.lithe.tokenize.JinjaLexer.Kind;
import dev.lithe.tokenize.JinjaLexer.Token;
import dev.lithe.tokenize.JinjaOperands.Expression;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// A template in the part of Jinja that chat templates are written in: `if`, `for` (with a
/// condition, `else`, `break` and `continue`), `set` (also of a block, and of a namespace's name),
/// `macro`, `generation`. Rendering is safe: a template sees the values given to it and nothing
/// else, and its work and its output are bounded.
///
/// It is made here because the kept Java library (jinjava 2.8) drops `for ... if` and slices such
/// as `[::-1]` without a word, knows no methods of Python's strings, and writes JSON and booleans
/// otherwise than Python does, which models were trained on.
final class JinjaTemplate {
    /// How a part of a template ended.
    private enum Flow {
        ON,
        BREAK,
        CONTINUE
    }

    /// A part of a template, ready to be rendered.
    @FunctionalInterface
    private interface Part {
        Flow into(StringBuilder text, JinjaScope scope);
    }

    private final JinjaExpressions in;
    private final Part whole;
    private int depth;

    private JinjaTemplate(List<Token> tokens) {
        this.in = new JinjaExpressions(tokens);
        this.whole = parts(Set.of());
        if (in.peek().kind() != Kind.END) {
            throw in.unexpected("the end");
        }
    }

    /// Reads a template.
    ///
    /// @throws dev.lithe.fault.LitheException naming the line at fault
    static JinjaTemplate of(String source) {
        return new JinjaTemplate(JinjaLexer.tokens(source));
    }

    String render(Map<String, ? extends @Nullable Object> values) {
        var text = new StringBuilder();
        whole.into(text, JinjaScope.root(values));
        return text.toString();
    }

    /// Everything up to one of the tags `ends`, of which the name is taken, too.
    private Part parts(Set<String> ends) {
        depth++;
        if (depth > 100) {
            throw JinjaLexer.wrong(in.peek().line(), "blocks nest more than 100 deep");
        }
        List<Part> parts = new ArrayList<>();
        while (true) {
            Token token = in.next();
            switch (token.kind()) {
                case TEXT -> parts.add(text(token.text()));
                case EXPRESSION_START -> {
                    Expression value = in.tuple();
                    in.expect(Kind.EXPRESSION_END, "");
                    parts.add((out, scope) -> write(out, JinjaValues.text(value.in(scope))));
                }
                case BLOCK_START -> {
                    if (ends.contains(in.peek().text())) {
                        depth--;
                        return all(parts);
                    }
                    parts.add(statement());
                }
                case END -> {
                    if (!ends.isEmpty()) {
                        throw in.unexpected(String.join(" or ", ends));
                    }
                    return all(parts);
                }
                case NAME, STRING, INTEGER, FLOAT, OPERATOR, EXPRESSION_END, BLOCK_END ->
                        throw in.unexpected("a tag");
            }
        }
    }

    private static Flow write(StringBuilder out, String text) {
        JinjaValues.requireLength((long) out.length() + text.length());
        out.append(text);
        return Flow.ON;
    }

    private static Part text(String text) {
        return (out, scope) -> {
            scope.step();
            return write(out, text);
        };
    }

    private static Part all(List<Part> parts) {
        List<Part> fixed = List.copyOf(parts);
        return (out, scope) -> {
            for (Part part : fixed) {
                Flow flow = part.into(out, scope);
                if (flow != Flow.ON) {
                    return flow;
                }
            }
            return Flow.ON;
        };
    }

    private void endOfTag() {
        in.expect(Kind.BLOCK_END, "");
    }

    private Part block(String end) {
        Part body = parts(Set.of(end));
        in.next();
        endOfTag();
        return body;
    }

    private Part statement() {
        String name = in.name();
        return switch (name) {
            case "if" -> condition();
            case "for" -> loop();
            case "set" -> assignment();
            case "macro" -> macro();
            case "generation" -> {
                endOfTag();
                yield block("endgeneration");
            }
            case "break", "continue" -> {
                endOfTag();
                Flow flow = name.equals("break") ? Flow.BREAK : Flow.CONTINUE;
                yield (_, _) -> flow;
            }
            default ->
                    throw JinjaLexer.wrong(in.peek().line(), "the tag '" + name + "' is not known");
        };
    }

    private Part condition() {
        Expression test = in.tuple();
        endOfTag();
        Part then = parts(Set.of("elif", "else", "endif"));
        String next = in.name();
        Part otherwise;
        if (next.equals("elif")) {
            otherwise = condition();
        } else {
            endOfTag();
            otherwise = next.equals("else") ? block("endif") : (_, _) -> Flow.ON;
        }
        return (out, scope) ->
                (JinjaValues.truth(test.in(scope)) ? then : otherwise).into(out, scope);
    }

    private List<String> targets() {
        List<String> names = new ArrayList<>(List.of(in.name()));
        while (in.takeOperator(",")) {
            names.add(in.name());
        }
        return names;
    }

    private static void assign(List<String> names, @Nullable Object value, JinjaScope scope) {
        if (names.size() == 1) {
            scope.set(names.getFirst(), value);
            return;
        }
        List<@Nullable Object> values = JinjaValues.items(value);
        if (values.size() != names.size()) {
            throw JinjaValues.wrong(values.size() + " values for " + names.size() + " names");
        }
        for (int i = 0; i < names.size(); i++) {
            scope.set(names.get(i), values.get(i));
        }
    }

    private Part loop() {
        boolean grouped = in.takeOperator("(");
        List<String> names = targets();
        if (grouped) {
            in.expect(Kind.OPERATOR, ")");
        }
        in.expect(Kind.NAME, "in");
        Expression items = in.or();
        Expression condition = in.takeWord("if") ? in.expression() : _ -> true;
        endOfTag();
        Part body = parts(Set.of("else", "endfor"));
        boolean hasElse = in.name().equals("else");
        endOfTag();
        Part otherwise = hasElse ? block("endfor") : (_, _) -> Flow.ON;
        return (out, scope) -> {
            List<@Nullable Object> chosen = new ArrayList<>();
            for (Object item : JinjaValues.items(items.in(scope))) {
                JinjaScope inner = scope.inner();
                assign(names, item, inner);
                if (JinjaValues.truth(condition.in(inner))) {
                    chosen.add(item);
                }
            }
            for (int i = 0; i < chosen.size(); i++) {
                scope.step();
                JinjaScope inner = scope.inner();
                assign(names, chosen.get(i), inner);
                inner.set("loop", loop(chosen, i));
                if (body.into(out, inner) == Flow.BREAK) {
                    break;
                }
            }
            return chosen.isEmpty() ? otherwise.into(out, scope) : Flow.ON;
        };
    }

    private static Map<String, @Nullable Object> loop(List<@Nullable Object> items, int at) {
        Map<String, @Nullable Object> loop = new HashMap<>();
        loop.put("index0", (long) at);
        loop.put("index", at + 1L);
        loop.put("revindex0", items.size() - 1L - at);
        loop.put("revindex", (long) items.size() - at);
        loop.put("length", (long) items.size());
        loop.put("first", at == 0);
        loop.put("last", at == items.size() - 1);
        if (at > 0) {
            loop.put("previtem", items.get(at - 1));
        }
        if (at < items.size() - 1) {
            loop.put("nextitem", items.get(at + 1));
        }
        JinjaValues.Function cycle =
                arguments -> arguments.at(at % Math.max(1, arguments.placed().size()));
        loop.put("cycle", cycle);
        return loop;
    }

    private Part assignment() {
        List<String> names = targets();
        String attribute = in.takeOperator(".") ? in.name() : "";
        Expression value;
        if (in.takeOperator("=")) {
            value = in.tuple();
            endOfTag();
        } else {
            endOfTag();
            Part body = block("endset");
            value =
                    scope -> {
                        var text = new StringBuilder();
                        body.into(text, scope.inner());
                        return text.toString();
                    };
        }
        return (_, scope) -> {
            scope.step();
            if (attribute.isEmpty()) {
                assign(names, value.in(scope), scope);
            } else if (scope.get(names.getFirst()) instanceof JinjaValues.Namespace space) {
                space.put(attribute, value.in(scope));
            } else {
                throw JinjaValues.wrong("'" + names.getFirst() + "' is no namespace");
            }
            return Flow.ON;
        };
    }

    private Part macro() {
        String name = in.name();
        in.expect(Kind.OPERATOR, "(");
        List<String> parameters = new ArrayList<>();
        Map<String, Expression> defaults = new HashMap<>();
        while (!in.takeOperator(")")) {
            String parameter = in.name();
            parameters.add(parameter);
            if (in.takeOperator("=")) {
                defaults.put(parameter, in.expression());
            }
            if (!in.peek().is(Kind.OPERATOR, ")")) {
                in.expect(Kind.OPERATOR, ",");
            }
        }
        endOfTag();
        Part body = block("endmacro");
        return (_, scope) -> {
            JinjaValues.Function function =
                    arguments -> {
                        JinjaScope inner = scope.inner();
                        defaults.forEach((key, value) -> inner.set(key, value.in(scope)));
                        for (int i = 0;
                                i < Math.min(arguments.placed().size(), parameters.size());
                                i++) {
                            inner.set(parameters.get(i), arguments.at(i));
                        }
                        arguments.named().forEach(inner::set);
                        return called(body, inner);
                    };
            scope.set(name, function);
            return Flow.ON;
        };
    }

    private static String called(Part body, JinjaScope scope) {
        scope.step();
        var text = new StringBuilder();
        body.into(text, scope);
        return text.toString();
    }
}
