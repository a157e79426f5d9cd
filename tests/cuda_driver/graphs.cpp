// Captures and the graphs that come of them; a graph is never run twice at once.
#include "driver.h"

#include <algorithm>

namespace {
struct Executable {
    std::shared_ptr<std::vector<Node>> nodes;
    std::shared_ptr<Done> last;
    std::vector<UserObject*> objects;
};
std::atomic<int> graphs{1};
}  // namespace

void release(UserObject* object, unsigned count) {
    if (object->references.fetch_sub(count) != count) return;
    if (object->destroy) object->destroy(object->pointer);
    delete object;
}

EXPORT CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode) {
    ENTER(cuStreamBeginCapture);
    if ((uintptr_t)handle <= 2) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    Stream* stream = stream_of(handle);
    if (stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
    stream->capture = new Graph{graphs++, {}, {}};
    stream->invalid = false;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamEndCapture(CUstream handle, CUgraph* graph) {
    counted("cuStreamEndCapture");
    Stream* stream = stream_of(handle);
    if (!stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
    *graph = (CUgraph)(stream->invalid ? nullptr : stream->capture);
    stream->capture = nullptr;
    return stream->invalid ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS;
}
EXPORT CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus* status) {
    *status = stream_of(handle)->capture ? CU_STREAM_CAPTURE_STATUS_ACTIVE
                                         : CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamGetCaptureInfo_v3(
    CUstream handle, CUstreamCaptureStatus* status, cuuint64_t* id, CUgraph* graph,
    const CUgraphNode** dependencies, const CUgraphEdgeData** edges, size_t* count) {
    Stream* stream = stream_of(handle);
    if (status)
        *status = !stream->capture  ? CU_STREAM_CAPTURE_STATUS_NONE
                  : stream->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                    : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    if (id) *id = stream->capture ? stream->capture->id : 0;
    if (graph) *graph = (CUgraph)stream->capture;
    if (dependencies) *dependencies = nullptr;
    if (edges) *edges = nullptr;
    if (count) *count = 0;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
    static thread_local CUstreamCaptureMode kept = CU_STREAM_CAPTURE_MODE_GLOBAL;
    std::swap(*mode, kept);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphDestroy(CUgraph given) {
    auto* graph = (Graph*)given;
    for (auto* object : graph->objects) release(object, 1);
    delete graph;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphInstantiateWithParams(
    CUgraphExec* made, CUgraph given, CUDA_GRAPH_INSTANTIATE_PARAMS* parameters) {
    ENTER(cuGraphInstantiate);
    auto* graph = (Graph*)given;
    auto* executable = new Executable;
    executable->nodes = std::make_shared<std::vector<Node>>(graph->nodes);
    for (auto* object : graph->objects) {
        object->references++;
        executable->objects.push_back(object);
    }
    if (parameters->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD) counted("cuGraphUpload");
    parameters->result_out = CUDA_GRAPH_INSTANTIATE_SUCCESS;
    *made = (CUgraphExec)executable;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphInstantiate(CUgraphExec* made, CUgraph graph, unsigned long long) {
    CUDA_GRAPH_INSTANTIATE_PARAMS parameters{};
    return cuGraphInstantiateWithParams(made, graph, &parameters);
}
EXPORT CUresult cuGraphUpload(CUgraphExec, CUstream) {
    ENTER(cuGraphUpload);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphLaunch(CUgraphExec given, CUstream handle) {
    ENTER(cuGraphLaunch);
    auto* executable = (Executable*)given;
    auto before = executable->last;
    auto done = executable->last = std::make_shared<Done>();
    return put(handle, "graph", [=, nodes = executable->nodes] {
        if (before) before->wait();
        for (auto& node : *nodes) node.run();
        done->set();
    });
}
EXPORT CUresult cuGraphExecDestroy(CUgraphExec given) {
    counted("cuGraphExecDestroy");
    auto* executable = (Executable*)given;
    // A card frees what the graph points to; here a replay that still waits its turn would be saved
    // by its own copy of the nodes, so that it must be told.
    bool lost = false;  // then nothing runs any more
    for (int device = 0; device < 8; ++device) lost |= context_of(device)->sticky != CUDA_SUCCESS;
    if (!lost && executable->last && !executable->last->ready())
        violation("a graph is dropped while it replays");
    for (auto* object : executable->objects) release(object, 1);
    delete executable;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode*, size_t* count) {
    *count = ((Graph*)graph)->nodes.size();
    return CUDA_SUCCESS;
}
EXPORT CUresult cuUserObjectCreate(
    CUuserObject* made, void* pointer, CUhostFn destroy, unsigned references, unsigned) {
    *made = (CUuserObject) new UserObject{pointer, destroy, {references}};
    return CUDA_SUCCESS;
}
EXPORT CUresult cuUserObjectRetain(CUuserObject object, unsigned count) {
    ((UserObject*)object)->references += count;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuUserObjectRelease(CUuserObject object, unsigned count) {
    release((UserObject*)object, count);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphRetainUserObject(CUgraph graph, CUuserObject given, unsigned count, unsigned flags) {
    auto* object = (UserObject*)given;
    if (!(flags & CU_GRAPH_USER_OBJECT_MOVE)) object->references += count;
    for (unsigned i = 0; i < count; ++i) ((Graph*)graph)->objects.push_back(object);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphReleaseUserObject(CUgraph graph, CUuserObject object, unsigned count) {
    auto& held = ((Graph*)graph)->objects;
    for (unsigned i = 0; i < count; ++i) {
        auto found = std::find(held.begin(), held.end(), (UserObject*)object);
        if (found == held.end()) return CUDA_ERROR_INVALID_VALUE;
        held.erase(found);
        release((UserObject*)object, 1);
    }
    return CUDA_SUCCESS;
}
