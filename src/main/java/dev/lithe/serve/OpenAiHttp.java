package dev.lithe.serve;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.TokenIds;
import dev.lithe.route.Route;
import dev.lithe.route.Variant;
import io.vertx.core.http.HttpClosedException;
import io.vertx.ext.web.Router;
import io.vertx.ext.web.RoutingContext;
import io.vertx.ext.web.handler.BodyHandler;
import jakarta.enterprise.event.Observes;
import jakarta.inject.Singleton;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/// OpenAI's HTTP interface: `/v1/models`, `/v1/completions`, `/v1/chat/completions`. A request's
/// `model` is a variant's name, or the name of the first variant's folder, which stands for all of
/// them: then the metadata or the weights choose.
@Singleton
class OpenAiHttp {
    private static final JsonMapper JSON = new JsonMapper();
    static final long MAX_BODY = 4L << 20;

    private final Serving serving;
    private final Preparation preparation;
    private final Generations generations;
    private final ChatTemplates templates;

    OpenAiHttp(
            Serving serving,
            Preparation preparation,
            Generations generations,
            ChatTemplates templates) {
        this.serving = serving;
        this.preparation = preparation;
        this.generations = generations;
        this.templates = templates;
    }

    void routes(@Observes Router router) {
        var body = BodyHandler.create(false).setBodyLimit(MAX_BODY);
        router.get("/v1/models").handler(this::models);
        router.get("/v1/models/:model").handler(this::model);
        router.post("/v1/completions").handler(body).handler(context -> complete(context, false));
        router.post("/v1/chat/completions")
                .handler(body)
                .handler(context -> complete(context, true));
        router.route("/v1/*").failureHandler(this::failed);
        router.route("/v1/*").last().handler(this::unknown);
    }

    private HttpCall call(RoutingContext context) {
        return new HttpCall(context, serving::wake);
    }

    /// What fails before it gets here, such as a body that is too long.
    private void failed(RoutingContext context) {
        if (context.failure() instanceof HttpClosedException) {
            return; // nobody is there to be told
        }
        RuntimeException error =
                switch (context.statusCode()) {
                    case 413 ->
                            LitheException.badInput(
                                    "the body is longer than %d bytes; send less", MAX_BODY);
                    case 400 -> LitheException.badInput("the request is no valid HTTP");
                    default ->
                            LitheException.of(
                                    Fault.INTERNAL, "the request failed: %s", context.failure());
                };
        call(context).fail(error);
    }

    private void unknown(RoutingContext context) {
        HttpErrors.refuse(
                context,
                404,
                "nothing answers "
                        + context.request().method()
                        + " here; see /v1/models, /v1/completions and /v1/chat/completions",
                "not_found");
    }

    private void models(RoutingContext context) {
        HttpCall call = call(context);
        preparation.run(
                call,
                0,
                () -> {
                    ObjectNode root = JSON.createObjectNode().put("object", "list");
                    ArrayNode data = root.putArray("data");
                    ModelNames.of(serving.models().router())
                            .forEach(name -> data.add(describe(name)));
                    call.answer(root);
                });
    }

    private void model(RoutingContext context) {
        HttpCall call = call(context);
        String name = Objects.toString(context.pathParam("model"), "");
        preparation.run(
                call,
                0,
                () -> {
                    ModelNames.variant(serving.models().router(), name);
                    call.answer(describe(name));
                });
    }

    private static ObjectNode describe(String name) {
        long started = ManagementFactory.getRuntimeMXBean().getStartTime() / 1000;
        return JSON.createObjectNode()
                .put("id", name)
                .put("object", "model")
                .put("created", started)
                .put("owned_by", "lithe");
    }

    private void complete(RoutingContext context, boolean chat) {
        HttpCall call = call(context);
        var body = context.body().buffer();
        byte[] bytes = body == null ? new byte[0] : body.getBytes();
        preparation.run(
                call,
                bytes.length,
                () -> {
                    var request = OpenAiRequest.of(bytes, chat);
                    Route route = generations.routeModel(request.model(), call.choice());
                    List<GenerationInput> inputs = inputs(request, route.variant());
                    call.admitFurther(inputs.size() - 1);
                    new OpenAiChoices(call, request, route).submit(generations, inputs);
                });
    }

    private List<GenerationInput> inputs(OpenAiRequest request, Variant variant) {
        List<GenerationInput> inputs = request.inputs();
        if (!request.chat()) {
            return inputs;
        }
        String prompt = templates.of(variant).render(request.messages());
        int[] ids = Requests.encode("prompt", prompt, false, variant.model());
        var tokens = TokenIds.newBuilder().addAllIds(Arrays.stream(ids).boxed().toList()).build();
        return inputs.stream().map(each -> each.toBuilder().setTokenIds(tokens).build()).toList();
    }
}
