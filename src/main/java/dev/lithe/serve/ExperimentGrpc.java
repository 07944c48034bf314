package dev.lithe.serve;

import dev.lithe.proto.v1.CompareRequest;
import dev.lithe.proto.v1.CompareResponse;
import dev.lithe.proto.v1.ExperimentServiceGrpc.ExperimentServiceImplBase;
import dev.lithe.proto.v1.GetReportRequest;
import dev.lithe.proto.v1.GetReportResponse;
import dev.lithe.proto.v1.GetSplitRequest;
import dev.lithe.proto.v1.GetSplitResponse;
import dev.lithe.proto.v1.SetSplitRequest;
import dev.lithe.proto.v1.SetSplitResponse;
import dev.lithe.proto.v1.Split;
import dev.lithe.report.ReportFolder;
import dev.lithe.route.Router;
import dev.lithe.route.SampleRatio;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import io.quarkus.grpc.GrpcService;

/// `lithe.v1.ExperimentService`.
@GrpcService
class ExperimentGrpc extends ExperimentServiceImplBase {
    private final Serving serving;
    private final Preparation preparation;
    private final Generations generations;
    private final Experiments experiments;

    ExperimentGrpc(
            Serving serving,
            Preparation preparation,
            Generations generations,
            Experiments experiments) {
        this.experiments = experiments;
        this.serving = serving;
        this.preparation = preparation;
        this.generations = generations;
    }

    @Override
    public void getSplit(GetSplitRequest request, StreamObserver<GetSplitResponse> observer) {
        Call<GetSplitResponse> call = Call.of(observer);
        preparation.run(
                call,
                request,
                () ->
                        call.answer(
                                GetSplitResponse.newBuilder()
                                        .setSplit(split(serving.models().router()))
                                        .build()));
    }

    @Override
    public void setSplit(SetSplitRequest request, StreamObserver<SetSplitResponse> observer) {
        Call<SetSplitResponse> call = Call.of(observer);
        try {
            AccessInterceptor.requireAdmin();
        } catch (StatusRuntimeException e) {
            call.fail(e);
            return;
        }
        preparation.run(
                call,
                request,
                () -> {
                    Serving.Models models = serving.models();
                    models.reweigh(request.getWeightsMap());
                    call.answer(
                            SetSplitResponse.newBuilder().setSplit(split(models.router())).build());
                });
    }

    private Split split(Router router) {
        var split = Split.newBuilder();
        router.variants()
                .forEach(variant ->
                        split.addSharesBuilder()
                                .setVariant(variant.name())
                                .setShare(router.share(variant.name()))
                                .setDrawn(router.drawn(variant.name())));
        SampleRatio ratio = router.sampleRatio();
        split.getSampleRatioBuilder()
                .setChiSquared(ratio.chiSquared())
                .setPValue(ratio.pValue())
                .setMismatch(ratio.mismatch());
        experiments.shadow().ifPresent(shadow -> split.setShadowVariant(shadow.variant().name()));
        return split.build();
    }

    @Override
    public void compare(CompareRequest request, StreamObserver<CompareResponse> observer) {
        Call<CompareResponse> call = Call.of(observer);
        call.onReady(serving::wake);
        preparation.run(
                call,
                request,
                () -> new SideBySide(call, request, serving.models().router()).submit(generations));
    }

    @Override
    public void getReport(GetReportRequest request, StreamObserver<GetReportResponse> observer) {
        Call<GetReportResponse> call = Call.of(observer);
        preparation.run(
                call,
                request,
                () ->
                        call.answer(
                                GetReportResponse.newBuilder()
                                        .setJson(
                                                ReportFile.read(
                                                        serving.models().router(),
                                                        ReportFolder.JSON))
                                        .build()));
    }
}
