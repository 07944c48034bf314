package dev.lithe.tokenize;

import dev.lithe.tokenize.JinjaLexer.Kind;
import dev.lithe.tokenize.JinjaLexer.Token;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Reads expressions, by Jinja's grammar: operators from the loosest to the tightest.
final class JinjaExpressions extends JinjaOperands {
    private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", ">", "<=", ">=");

    JinjaExpressions(List<Token> tokens) {
        super(tokens);
    }

    @Override
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

    @Override
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
        shallower();
        return left;
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
            shallower();
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
            } else if (peek().is(Kind.NAME, "not") && peekBehind().is(Kind.NAME, "in")) {
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
        shallower();
        return filters ? filtered(value) : value;
    }
}
