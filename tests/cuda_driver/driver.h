// A CUDA driver in host memory: what its files share. Every stream is a thread with a queue; events,
// captures and graphs mean what they mean on a card. It is for tests, and no GPU's results come of it.
#pragma once
#include <cuda.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

using Work = std::function<void()>;

int setting(const char* name, int otherwise);       // an environment variable HOSTDRIVER_<name>
void counted(const char* name);                     // one more call of that name
void violation(const char* format, ...);            // a misuse that a card would punish or hide

// Contexts: one per card, current per thread. A sticky error stays until the process ends.
struct Context {
    int device = 0;
    std::atomic<int> sticky{CUDA_SUCCESS};
};
Context* context_of(int device);
Context* current();
std::vector<Context*>& context_stack();
CUresult usable(const char* call);                  // an error without a context or after a sticky one
#define ENTER(name)                                             \
    counted(#name);                                             \
    if (CUresult refused = usable(#name)) return refused

// Memory: mapped with a guard page behind it, so that a write past the end ends the process.
enum class Kind { pageable, device, pinned, out_of_range };
struct Place { Kind kind; int device; };
Place place_of(uintptr_t address, size_t size);

struct Done {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    std::chrono::steady_clock::time_point when;
    void set();
    void wait();
    bool ready();
};

struct Node { std::string what; Work run; };
struct UserObject { void* pointer; CUhostFn destroy; std::atomic<unsigned> references; };
void release(UserObject* object, unsigned count);

struct Graph {
    int id;
    std::vector<Node> nodes;
    std::vector<UserObject*> objects;
};

struct Stream {
    unsigned flags;
    int priority, id;
    Context* context;
    Graph* capture = nullptr;
    bool invalid = false;

    Stream(unsigned flags, int priority, Context* context);
    void put(Work work);
    void synchronise();
    bool idle();
    void end();

  private:
    std::deque<Work> queue;
    std::mutex mutex;
    std::condition_variable filled, emptied;
    bool busy = false, stopped = false;
    void loop();
};
Stream* stream_of(CUstream handle);

// Puts work on a stream, or into its capture; refuses a stream of another context.
CUresult put(CUstream handle, const char* what, Work work);

void* entry_point(const char* name);
