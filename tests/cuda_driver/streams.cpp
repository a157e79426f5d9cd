// Streams, events, and work put on them.
#include "driver.h"

#include <unistd.h>

#include <cstring>
#include <random>

namespace {
// Each operation waits up to so many microseconds before it runs: this is what makes races show.
std::atomic<int> jitter_us{setting("JITTER_US", 0)};
std::atomic<int> noop{setting("NOOP", 0)};
// The operation that, counted from now, fails when its stream comes to it; its card is lost.
std::atomic<int> fails_at{0}, fails_with{0};

struct Event {
    unsigned flags;
    std::shared_ptr<Done> last;
    Graph* captured = nullptr;
};
Stream* legacy() {
    static Stream* stream = new Stream(0, 0, nullptr);
    return stream;
}
Work guarded(Work work, Context* context) {
    int place = fails_at.load() > 0 ? fails_at-- : 0;
    return [work, context, fails = place == 1] {
        if (fails && context) context->sticky = fails_with.load();
        if (!context || context->sticky == CUDA_SUCCESS) work();
    };
}
}  // namespace

EXPORT void hostdriver_jitter(int microseconds) { jitter_us = microseconds; }
EXPORT void hostdriver_busy(CUstream handle, int microseconds) {
    stream_of(handle)->put([microseconds] { usleep(microseconds); });
}
EXPORT void hostdriver_noop(int on) { noop = on; }
EXPORT void hostdriver_fail_at(int operation, int code) {
    fails_with = code;
    fails_at = operation;
}

void Done::set() {
    {
        std::lock_guard<std::mutex> lock(mutex);
        done = true;
        when = std::chrono::steady_clock::now();
    }
    changed.notify_all();
}
void Done::wait() {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return done; });
}
bool Done::ready() {
    std::lock_guard<std::mutex> lock(mutex);
    return done;
}

Stream::Stream(unsigned flags, int priority, Context* context)
    : flags(flags), priority(priority), context(context) {
    static std::atomic<int> made{0};
    id = made++;
    std::thread([this] { loop(); }).detach();
}
void Stream::loop() {
    std::mt19937 random(id * 7919 + setting("SEED", 1));
    context_stack().push_back(context ? context : context_of(0));
    for (;;) {
        Work work;
        {
            std::unique_lock<std::mutex> lock(mutex);
            busy = false;
            if (queue.empty()) emptied.notify_all();
            filled.wait(lock, [&] { return stopped || !queue.empty(); });
            if (queue.empty()) return;
            work = std::move(queue.front());
            queue.pop_front();
            busy = true;
        }
        if (int most = jitter_us) usleep(random() % most);
        work();
    }
}
void Stream::put(Work work) {
    {
        std::lock_guard<std::mutex> lock(mutex);
        queue.push_back(std::move(work));
    }
    filled.notify_one();
}
void Stream::synchronise() {
    std::unique_lock<std::mutex> lock(mutex);
    emptied.wait(lock, [&] { return queue.empty() && !busy; });
}
bool Stream::idle() {
    std::lock_guard<std::mutex> lock(mutex);
    return queue.empty() && !busy;
}
void Stream::end() {
    {
        std::lock_guard<std::mutex> lock(mutex);
        stopped = true;
    }
    filled.notify_one();
}
Stream* stream_of(CUstream handle) { return (uintptr_t)handle <= 2 ? legacy() : (Stream*)handle; }

CUresult put(CUstream handle, const char* what, Work work) {
    Stream* stream = stream_of(handle);
    if (stream->context && current() && stream->context != current()) {
        violation("%s on a stream of another context than the current one", what);
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    if (noop && strcmp(what, "graph")) work = [] {};
    if (stream->capture) {
        if (stream->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        stream->capture->nodes.push_back({what, std::move(work)});
        return CUDA_SUCCESS;
    }
    stream->put(guarded(std::move(work), stream->context));
    return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamCreateWithPriority(CUstream* made, unsigned flags, int priority) {
    ENTER(cuStreamCreate);
    *made = (CUstream) new Stream(flags, priority, current());
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamCreate(CUstream* made, unsigned flags) {
    return cuStreamCreateWithPriority(made, flags, 0);
}
EXPORT CUresult cuStreamDestroy_v2(CUstream handle) {
    counted("cuStreamDestroy");
    Stream* stream = stream_of(handle);
    if (stream == legacy()) return CUDA_ERROR_INVALID_HANDLE;
    stream->end();  // never freed: an array may still name it
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamSynchronize(CUstream handle) {
    ENTER(cuStreamSynchronize);
    Stream* stream = stream_of(handle);
    if (stream->capture) {
        violation("cuStreamSynchronize of a capturing stream");
        stream->invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    stream->synchronise();
    return usable("cuStreamSynchronize");
}
EXPORT CUresult cuStreamQuery(CUstream handle) {
    return stream_of(handle)->idle() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}
EXPORT CUresult cuStreamGetFlags(CUstream handle, unsigned* flags) {
    *flags = stream_of(handle)->flags;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamGetPriority(CUstream handle, int* priority) {
    *priority = stream_of(handle)->priority;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamGetCtx(CUstream handle, CUcontext* context) {
    Stream* stream = stream_of(handle);
    *context = (CUcontext)(stream->context ? stream->context : current());
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamWaitEvent(CUstream handle, CUevent given, unsigned) {
    ENTER(cuStreamWaitEvent);
    if (!given) return CUDA_ERROR_INVALID_HANDLE;
    Stream* stream = stream_of(handle);
    auto* event = (Event*)given;
    if (stream->capture) {
        if (event->captured == stream->capture) return CUDA_SUCCESS;
        violation("a capturing stream waits for an event recorded outside its capture");
        stream->invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
    }
    if (event->captured) {
        violation("a stream waits for an event of a capture");
        return CUDA_ERROR_CAPTURED_EVENT;
    }
    if (auto last = event->last) stream->put([last] { last->wait(); });
    return CUDA_SUCCESS;
}
EXPORT CUresult cuLaunchHostFunc(CUstream handle, CUhostFn function, void* data) {
    ENTER(cuLaunchHostFunc);
    return put(handle, "host", [=] { function(data); });
}

EXPORT CUresult cuEventCreate(CUevent* made, unsigned flags) {
    ENTER(cuEventCreate);
    counted(flags & CU_EVENT_BLOCKING_SYNC ? "event that blocks" : "event that spins");
    *made = (CUevent) new Event{flags, nullptr};
    return CUDA_SUCCESS;
}
EXPORT CUresult cuEventDestroy_v2(CUevent event) {
    counted("cuEventDestroy");
    delete (Event*)event;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuEventRecord(CUevent given, CUstream handle) {
    ENTER(cuEventRecord);
    if (!given) return CUDA_ERROR_INVALID_HANDLE;
    Stream* stream = stream_of(handle);
    if (stream->context && stream->context != current()) {
        violation("cuEventRecord on a stream of another context than the current one");
        return CUDA_ERROR_INVALID_HANDLE;
    }
    auto* event = (Event*)given;
    event->captured = stream->capture;
    if (stream->capture) return CUDA_SUCCESS;
    auto done = event->last = std::make_shared<Done>();
    stream->put([done] { done->set(); });
    return CUDA_SUCCESS;
}
EXPORT CUresult cuEventRecordWithFlags(CUevent event, CUstream handle, unsigned) {
    return cuEventRecord(event, handle);
}
EXPORT CUresult cuEventSynchronize(CUevent given) {
    ENTER(cuEventSynchronize);
    if (!given) return CUDA_ERROR_INVALID_HANDLE;
    if (auto last = ((Event*)given)->last) last->wait();
    return usable("cuEventSynchronize");
}
EXPORT CUresult cuEventQuery(CUevent given) {
    auto last = ((Event*)given)->last;
    return !last || last->ready() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}
EXPORT CUresult cuEventElapsedTime_v2(float* ms, CUevent from, CUevent to) {
    auto start = ((Event*)from)->last, end = ((Event*)to)->last;
    if (!start || !end) return CUDA_ERROR_INVALID_HANDLE;
    if (!start->ready() || !end->ready()) return CUDA_ERROR_NOT_READY;
    *ms = std::chrono::duration<float, std::milli>(end->when - start->when).count();
    return CUDA_SUCCESS;
}
