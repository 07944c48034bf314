package dev.lithe.tokenize;

import dev.lithe.tokenize.JinjaLexer.Kind;
import dev.lithe.tokenize.JinjaLexer.Token;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Reads what operators stand between: values, what is taken out of them, calls, filters, tests.
abstract class JinjaOperands extends JinjaCursor {
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

    JinjaOperands(List<Token> tokens) {
        super(tokens);
    }

    /// An expression.
    abstract Expression expression();

    /// An expression, or several with commas between, which make a list.
    abstract Expression tuple();

    static Expression listOf(List<Expression> all) {
        return scope -> {
            List<@Nullable Object> list = new ArrayList<>();
            all.forEach(each -> list.add(each.in(scope)));
            return list;
        };
    }

    Expression primary() {
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
                back();
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
                back();
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

    Expression postfix(Expression start) {
        Expression value = start;
        while (true) {
            Expression base = value;
            if (takeOperator(".")) {
                Token name = next();
                if (name.kind() == Kind.INTEGER) {
                    Object index = number(name);
                    value = scope -> JinjaValues.item(base.in(scope), index);
                } else if (name.kind() == Kind.NAME) {
                    value = scope -> JinjaValues.attribute(base.in(scope), name.text());
                } else {
                    back();
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
            if (peek().kind() == Kind.NAME && peekBehind().is(Kind.OPERATOR, "=")) {
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

    Expression filtered(Expression start) {
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
