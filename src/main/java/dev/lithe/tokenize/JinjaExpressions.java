package dev.lithe.tokenize;

import dev.lithe.fault.LitheException;
import dev.lithe.tokenize.JinjaLexer.Kind;
import dev.lithe.tokenize.JinjaLexer.Token;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Reads expressions, by Jinja's grammar and order of operators.
final class JinjaExpressions {
    private static final int MAX_DEPTH = 200;
    private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", ">", "<=", ">=");
    private static final Set<String> AFTER_A_TEST =
            Set.of("else", "or", "and", "is", "if", "not", "in");

    /// An expression, ready to be computed.
    @FunctionalInterface
    interface Expression {
        @Nullable Object in(JinjaScope scope);
    }

    private record Arguments(List<Expression> placed, Map<String, Expression> named) {
        JinjaValues.Arguments values(JinjaScope scope) {
            return new JinjaValues.Arguments(placed(scope), named(scope));
        }

        List<@Nullable Object> placed(JinjaScope scope) {
            List<@Nullable Object> values = new ArrayList<>();
            placed.forEach(each -> values.add(each.in(scope)));
            return values;
        }

        Map<String, @Nullable Object> named(JinjaScope scope) {
            Map<String, @Nullable Object> values = new LinkedHashMap<>();
            named.forEach((name, each) -> values.put(name, each.in(scope)));
            return values;
        }
    }

    private final List<Token> tokens;
    private int at;
    private int depth;

    JinjaExpressions(List<Token> tokens) {
        this.tokens = tokens;
    }

    Token peek() {
        return tokens.get(at);
    }

    Token next() {
        Token token = tokens.get(at);
        at = Math.min(at + 1, tokens.size() - 1);
        return token;
    }

    /// Takes the token if it comes next.
    boolean take(Kind kind, String text) {
        if (!peek().is(kind, text)) {
            return false;
        }
        next();
        return true;
    }

    boolean takeOperator(String text) {
        return take(Kind.OPERATOR, text);
    }

    boolean takeWord(String text) {
        return take(Kind.NAME, text);
    }

    void expect(Kind kind, String text) {
        if (!take(kind, text)) {
            throw unexpected(text.isEmpty() ? kind.toString() : "'" + text + "'");
        }
    }

    String name() {
        if (peek().kind() != Kind.NAME) {
            throw unexpected("a name");
        }
        return next().text();
    }

    LitheException unexpected(String wanted) {
        Token token = peek();
        String found = token.text().isEmpty() ? token.kind().toString() : "'" + token.text() + "'";
        return JinjaLexer.wrong(token.line(), "found " + found + " instead of " + wanted);
    }

    /// An expression, or several with commas between, which make a list.
    Expression tuple() {
        Expression first = expression();
        if (!peek().is(Kind.OPERATOR, ",")) {
            return first;
        }
        List<Expression> all = new ArrayList<>(List.of(first));
        while (takeOperator(",") && !ends()) {
            all.add(expression());
        }
        return listOf(all);
    }

    private boolean ends() {
        return peek().kind() == Kind.BLOCK_END
                || peek().kind() == Kind.EXPRESSION_END
                || peek().is(Kind.OPERATOR, ")")
                || peek().is(Kind.OPERATOR, "=");
    }

    private static Expression listOf(List<Expression> all) {
        return scope -> {
            List<@Nullable Object> list = new ArrayList<>();
            all.forEach(each -> list.add(each.in(scope)));
            return list;
        };
    }

    Expression expression() {
        Expression value = or();
        while (takeWord("if")) {
            Expression then = value;
            Expression condition = or();
            Expression otherwise =
                    takeWord("else") ? expression() : _ -> JinjaValues.undefined("the else part");
            value =
                    scope ->
                            JinjaValues.truth(condition.in(scope))
                                    ? then.in(scope)
                                    : otherwise.in(scope);
        }
        return value;
    }

    /// Without a condition behind, as in `for x in y if z`.
    Expression or() {
        deeper();
        Expression left = and();
        while (takeWord("or")) {
            Expression a = left;
            Expression b = and();
            left =
                    scope -> {
                        Object value = a.in(scope);
                        return JinjaValues.truth(value) ? value : b.in(scope);
                    };
        }
        depth--;
        return left;
    }

    private void deeper() {
        depth++;
        if (depth > MAX_DEPTH) {
            throw JinjaLexer.wrong(
                    peek().line(), "an expression nests more than " + MAX_DEPTH + " deep");
        }
    }

    private Expression and() {
        Expression left = not();
        while (takeWord("and")) {
            Expression a = left;
            Expression b = not();
            left =
                    scope -> {
                        Object value = a.in(scope);
                        return JinjaValues.truth(value) ? b.in(scope) : value;
                    };
        }
        return left;
    }

    private Expression not() {
        if (takeWord("not")) {
            deeper();
            Expression value = not();
            depth--;
            return scope -> !JinjaValues.truth(value.in(scope));
        }
        return comparison();
    }

    private Expression comparison() {
        Expression left = sum();
        Expression result = null;
        while (true) {
            Expression a = left;
            Expression one;
            if (peek().kind() == Kind.OPERATOR && COMPARISONS.contains(peek().text())) {
                String operator = next().text();
                Expression b = sum();
                one = scope -> compared(operator, a.in(scope), b.in(scope));
                left = b;
            } else if (takeWord("in")) {
                Expression b = sum();
                one = scope -> JinjaValues.contains(b.in(scope), a.in(scope));
                left = b;
            } else if (peek().is(Kind.NAME, "not") && tokens.get(at + 1).is(Kind.NAME, "in")) {
                next();
                next();
                Expression b = sum();
                one = scope -> !JinjaValues.contains(b.in(scope), a.in(scope));
                left = b;
            } else {
                return result == null ? left : result;
            }
            Expression before = result;
            result =
                    before == null
                            ? one
                            : scope ->
                                    JinjaValues.truth(before.in(scope))
                                            && JinjaValues.truth(one.in(scope));
        }
    }

    private static boolean compared(String operator, @Nullable Object a, @Nullable Object b) {
        return switch (operator) {
            case "==" -> JinjaValues.same(a, b);
            case "!=" -> !JinjaValues.same(a, b);
            case "<" -> JinjaValues.compare(a, b) < 0;
            case ">" -> JinjaValues.compare(a, b) > 0;
            case "<=" -> JinjaValues.compare(a, b) <= 0;
            default -> JinjaValues.compare(a, b) >= 0;
        };
    }

    private Expression sum() {
        Expression left = joined();
        while (peek().is(Kind.OPERATOR, "+") || peek().is(Kind.OPERATOR, "-")) {
            left = binary(left, next().text(), joined());
        }
        return left;
    }

    private Expression joined() {
        Expression left = product();
        while (takeOperator("~")) {
            Expression a = left;
            Expression b = product();
            left =
                    scope ->
                            JinjaValues.bounded(
                                    new StringBuilder(JinjaValues.text(a.in(scope)))
                                            .append(JinjaValues.text(b.in(scope))));
        }
        return left;
    }

    private Expression product() {
        Expression left = power();
        while (peek().kind() == Kind.OPERATOR
                && Set.of("*", "/", "//", "%").contains(peek().text())) {
            left = binary(left, next().text(), power());
        }
        return left;
    }

    private Expression power() {
        Expression left = signed(true);
        while (takeOperator("**")) {
            left = binary(left, "**", signed(true));
        }
        return left;
    }

    private static Expression binary(Expression a, String operator, Expression b) {
        return scope -> JinjaValues.arithmetic(operator, a.in(scope), b.in(scope));
    }

    private Expression signed(boolean filters) {
        deeper();
        Expression value;
        if (takeOperator("-")) {
            Expression positive = signed(false);
            value = scope -> JinjaValues.arithmetic("-", 0L, positive.in(scope));
        } else if (takeOperator("+")) {
            value = signed(false);
        } else {
            value = postfix(primary());
        }
        depth--;
        return filters ? filtered(value) : value;
    }

    private Expression primary() {
        Token token = next();
        return switch (token.kind()) {
            case NAME -> named(token.text());
            case STRING -> {
                var text = new StringBuilder(token.text());
                while (peek().kind() == Kind.STRING) {
                    text.append(next().text());
                }
                yield constant(text.toString());
            }
            case INTEGER, FLOAT -> constant(number(token));
            case OPERATOR -> grouped(token);
            case TEXT, EXPRESSION_START, EXPRESSION_END, BLOCK_START, BLOCK_END, END -> {
                at--;
                throw unexpected("a value");
            }
        };
    }

    private static Expression constant(Object value) {
        return _ -> value;
    }

    private static Object number(Token token) {
        try {
            return token.kind() == Kind.FLOAT
                    ? (Object) Double.parseDouble(token.text())
                    : (Object) Long.parseLong(token.text());
        } catch (NumberFormatException e) {
            throw JinjaLexer.wrong(token.line(), "the number " + token.text() + " is too large")
                    .causedBy(e);
        }
    }

    private static Expression named(String name) {
        return switch (name) {
            case "true", "True" -> constant(true);
            case "false", "False" -> constant(false);
            case "none", "None" -> _ -> null;
            default -> scope -> scope.get(name);
        };
    }

    private Expression grouped(Token token) {
        switch (token.text()) {
            case "(" -> {
                if (takeOperator(")")) {
                    return listOf(List.of());
                }
                Expression value = tuple();
                expect(Kind.OPERATOR, ")");
                return value;
            }
            case "[" -> {
                List<Expression> all = new ArrayList<>();
                while (!takeOperator("]")) {
                    all.add(expression());
                    if (!peek().is(Kind.OPERATOR, "]")) {
                        expect(Kind.OPERATOR, ",");
                    }
                }
                return listOf(all);
            }
            case "{" -> {
                return mapping();
            }
            default -> {
                at--;
                throw unexpected("a value");
            }
        }
    }

    private Expression mapping() {
        Map<Expression, Expression> all = new LinkedHashMap<>();
        while (!takeOperator("}")) {
            Expression key = expression();
            expect(Kind.OPERATOR, ":");
            all.put(key, expression());
            if (!peek().is(Kind.OPERATOR, "}")) {
                expect(Kind.OPERATOR, ",");
            }
        }
        return scope -> {
            Map<String, @Nullable Object> map = new LinkedHashMap<>();
            all.forEach((key, value) -> map.put(JinjaValues.text(key.in(scope)), value.in(scope)));
            return map;
        };
    }

    private Expression postfix(Expression start) {
        Expression value = start;
        while (true) {
            Expression base = value;
            if (takeOperator(".")) {
                Token name = next();
                if (name.kind() == Kind.INTEGER) {
                    long index = Long.parseLong(name.text());
                    value = scope -> JinjaValues.item(base.in(scope), index);
                } else if (name.kind() == Kind.NAME) {
                    value = scope -> JinjaValues.attribute(base.in(scope), name.text());
                } else {
                    at--;
                    throw unexpected("a name");
                }
            } else if (takeOperator("[")) {
                value = subscript(base);
            } else if (takeOperator("(")) {
                value = call(base, arguments());
            } else {
                return value;
            }
        }
    }

    private Expression subscript(Expression base) {
        @Nullable Expression[] bounds = new Expression[3];
        int colons = 0;
        while (!takeOperator("]")) {
            if (colons < 2 && takeOperator(":")) {
                colons++;
            } else if (bounds[colons] == null) {
                bounds[colons] = expression();
            } else {
                throw unexpected("']'");
            }
        }
        Expression first = bounds[0];
        if (colons > 0) {
            return scope ->
                    JinjaValues.slice(
                            base.in(scope),
                            valueOf(bounds[0], scope),
                            valueOf(bounds[1], scope),
                            valueOf(bounds[2], scope));
        }
        if (first == null) {
            throw unexpected("an index");
        }
        return scope -> JinjaValues.item(base.in(scope), first.in(scope));
    }

    private static @Nullable Object valueOf(@Nullable Expression bound, JinjaScope scope) {
        return bound == null ? null : bound.in(scope);
    }

    private static Expression call(Expression base, Arguments arguments) {
        return scope -> {
            scope.step();
            Object callee = base.in(scope);
            if (callee instanceof JinjaValues.Function function) {
                return function.call(arguments.values(scope));
            }
            throw JinjaValues.wrong(JinjaValues.type(callee) + " is called");
        };
    }

    /// What follows an opening parenthesis.
    private Arguments arguments() {
        List<Expression> placed = new ArrayList<>();
        Map<String, Expression> named = new LinkedHashMap<>();
        while (!takeOperator(")")) {
            if (peek().kind() == Kind.NAME && tokens.get(at + 1).is(Kind.OPERATOR, "=")) {
                String name = next().text();
                next();
                named.put(name, expression());
            } else {
                placed.add(expression());
            }
            if (!peek().is(Kind.OPERATOR, ")")) {
                expect(Kind.OPERATOR, ",");
            }
        }
        return new Arguments(placed, named);
    }

    private Expression filtered(Expression start) {
        Expression value = start;
        while (true) {
            if (takeOperator("|")) {
                value = filter(value);
            } else if (takeWord("is")) {
                value = test(value);
            } else {
                return value;
            }
        }
    }

    /// What follows `|`, applied to a value.
    Expression filter(Expression value) {
        String filter = name();
        Arguments arguments = takeOperator("(") ? arguments() : new Arguments(List.of(), Map.of());
        return scope -> {
            scope.step();
            return JinjaFilters.apply(
                    filter, value.in(scope), arguments.placed(scope), arguments.named(scope));
        };
    }

    private Expression test(Expression value) {
        boolean negated = takeWord("not");
        String test = name();
        Expression argument;
        if (takeOperator("(")) {
            List<Expression> placed = arguments().placed();
            argument = placed.isEmpty() ? _ -> null : placed.getFirst();
        } else if (hasArgument()) {
            argument = postfix(primary());
        } else {
            argument = _ -> null;
        }
        return scope -> JinjaFilters.test(test, value.in(scope), argument.in(scope)) != negated;
    }

    private boolean hasArgument() {
        return switch (peek().kind()) {
            case NAME -> !AFTER_A_TEST.contains(peek().text());
            case STRING, INTEGER, FLOAT -> true;
            case OPERATOR -> Set.of("[", "{").contains(peek().text());
            case TEXT, EXPRESSION_START, EXPRESSION_END, BLOCK_START, BLOCK_END, END -> false;
        };
    }
}
