// The thread pool.
//
// One job runs at a time. Its range is cut into chunks, and everyone, the caller included, claims
// the next chunk by a compare-and-swap on `ticket`, which holds (job number, next chunk). A thread
// that wakes late therefore finds nothing to claim and nobody waits for it: the caller waits only
// for chunks that were begun. Between jobs a worker spins for about 50 microseconds (a training
// step issues its kernels that close together; waking a sleeping thread costs 10 to 60) and then
// sleeps on a condition variable.
//
// After fork() only the calling thread exists. The child's hook drops the pool without touching
// its locks, whose owners are gone, and the next job starts a new one.
#include "parallel.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace rl {
namespace {

constexpr int kMaxThreads = 256;
constexpr uint64_t kChunkMask = 0xffffffffu;
constexpr auto kSpinTime = std::chrono::microseconds(50);

inline void cpu_relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

struct Pool {
    std::mutex busy;  // held by the thread whose job is running

    // The job. Written while `ticket` says that no chunk is left, read before claiming one.
    std::atomic<RangeBody> body{nullptr};
    std::atomic<void*> context{nullptr};
    std::atomic<int64_t> n{0};
    std::atomic<int64_t> chunk{1};
    std::atomic<uint64_t> chunks{0};

    alignas(64) std::atomic<uint64_t> ticket{kChunkMask};
    alignas(64) std::atomic<uint64_t> finished{0};
    std::atomic<int> helpers{0};  // workers 0 .. helpers-1 may claim chunks

    std::mutex sleep_mutex;
    std::condition_variable wake;
    std::atomic<int> sleepers{0};
    int started = 0;  // guarded by `busy`
};

// Leaked on purpose: detached workers may still look at it while the process exits.
std::atomic<Pool*> pool{nullptr};
std::atomic<int> thread_count{0};
thread_local bool inside_parallel = false;

// Claims and runs chunks until the current job has none left.
void run_chunks(Pool& p) {
    for (;;) {
        uint64_t ticket = p.ticket.load(std::memory_order_acquire);
        const uint64_t index = ticket & kChunkMask;
        const RangeBody body = p.body.load(std::memory_order_relaxed);
        void* const context = p.context.load(std::memory_order_relaxed);
        const int64_t n = p.n.load(std::memory_order_relaxed);
        const int64_t chunk = p.chunk.load(std::memory_order_relaxed);
        if (index >= p.chunks.load(std::memory_order_acquire)) return;
        // Succeeds only if no new job was posted since `ticket` was read.
        if (!p.ticket.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) continue;
        const int64_t begin = int64_t(index) * chunk;
        body(context, begin, begin + chunk < n ? begin + chunk : n);
        p.finished.fetch_add(1, std::memory_order_release);
    }
}

bool has_work(Pool& p, int id) {
    return id < p.helpers.load(std::memory_order_relaxed) &&
           (p.ticket.load(std::memory_order_seq_cst) & kChunkMask) <
               p.chunks.load(std::memory_order_acquire);
}

void worker(Pool* p, int id) {
    inside_parallel = true;
    for (;;) {
        auto deadline = std::chrono::steady_clock::now() + kSpinTime;
        for (int spins = 0; !has_work(*p, id); spins++) {
            cpu_relax();
            if (spins % 64 == 63 && std::chrono::steady_clock::now() > deadline) {
                std::unique_lock<std::mutex> lock(p->sleep_mutex);
                p->sleepers.fetch_add(1, std::memory_order_seq_cst);
                p->wake.wait(lock, [&] { return has_work(*p, id); });
                p->sleepers.fetch_sub(1, std::memory_order_relaxed);
            }
        }
        run_chunks(*p);
    }
}

void forget_pool_in_child() { pool.store(nullptr, std::memory_order_relaxed); }

Pool& get_pool() {
    Pool* p = pool.load(std::memory_order_acquire);
    if (p != nullptr) return *p;
    static const int hook = pthread_atfork(nullptr, nullptr, forget_pool_in_child);
    (void)hook;
    Pool* fresh = new Pool;
    if (pool.compare_exchange_strong(p, fresh, std::memory_order_acq_rel)) return *fresh;
    delete fresh;
    return *p;
}

#if defined(__linux__)
// The number in a one-line file such as topology/thread_siblings_list ("0,4" or "0-1"); -1 if none.
int first_number_in(const char* path) {
    FILE* file = fopen(path, "r");
    int value = -1;
    if (file == nullptr) return -1;
    if (fscanf(file, "%d", &value) != 1) value = -1;
    fclose(file);
    return value;
}
#endif

// Physical cores among the processors this process may run on: hyper-threads share one core's
// arithmetic units, so a second kernel thread on the same core only adds overhead.
int available_cores() {
#if defined(__linux__)
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        int cores = 0;
        cpu_set_t seen;
        CPU_ZERO(&seen);
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
            if (!CPU_ISSET(cpu, &allowed)) continue;
            char path[96];
            snprintf(path, sizeof path,
                     "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
            int core = first_number_in(path);
            if (core < 0 || core >= CPU_SETSIZE) core = cpu;
            if (!CPU_ISSET(core, &seen)) cores++;
            CPU_SET(core, &seen);
        }
        if (cores > 0) return cores;
    }
#endif
    const unsigned n = std::thread::hardware_concurrency();
    return n > 0 ? int(n) : 1;
}

int default_threads() {
    const char* wish = getenv("OMP_NUM_THREADS");
    const int n = wish != nullptr ? atoi(wish) : 0;
    const int threads = n > 0 ? n : available_cores();
    return threads < kMaxThreads ? threads : kMaxThreads;
}

// Signals are for Python's main thread, so workers are born with all of them blocked.
void start_workers(Pool& p, int wanted) {
    if (p.started >= wanted) return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; p.started < wanted; p.started++) std::thread(worker, &p, p.started).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// Posts the job, helps with it and waits for the chunks that others took.
void run_job(Pool& p, int threads, int64_t n, int64_t chunk, RangeBody body, void* context) {
    start_workers(p, threads - 1);
    const uint64_t chunks = uint64_t((n + chunk - 1) / chunk);

    const uint64_t job = (p.ticket.load(std::memory_order_relaxed) >> 32) + 1;
    // Closing the ticket under a new job number makes claims of the old job fail while the fields
    // change.
    p.ticket.store(job << 32 | kChunkMask, std::memory_order_seq_cst);
    p.body.store(body, std::memory_order_relaxed);
    p.context.store(context, std::memory_order_relaxed);
    p.n.store(n, std::memory_order_relaxed);
    p.chunk.store(chunk, std::memory_order_relaxed);
    p.chunks.store(chunks, std::memory_order_relaxed);
    p.helpers.store(threads - 1, std::memory_order_relaxed);
    p.finished.store(0, std::memory_order_relaxed);
    p.ticket.store((job + 1) << 32, std::memory_order_seq_cst);

    if (p.sleepers.load(std::memory_order_seq_cst) > 0) {
        { std::lock_guard<std::mutex> lock(p.sleep_mutex); }
        p.wake.notify_all();
    }
    inside_parallel = true;
    run_chunks(p);
    inside_parallel = false;
    for (int spins = 0; p.finished.load(std::memory_order_acquire) != chunks; spins++) {
        cpu_relax();
        if (spins > 2000) sched_yield();  // the worker may have lost its processor to someone else
    }
}

}  // namespace

int num_threads() {
    int n = thread_count.load(std::memory_order_relaxed);
    if (n == 0) {
        n = default_threads();
        thread_count.store(n, std::memory_order_relaxed);
    }
    return n;
}

void set_num_threads(int n) {
    thread_count.store(n < 1 ? 1 : n < kMaxThreads ? n : kMaxThreads, std::memory_order_relaxed);
}

bool would_run_parallel(int64_t n, int64_t grain) {
    return n >= 2 * grain && !inside_parallel && num_threads() > 1;
}

void run_parallel(int64_t n, int64_t grain, RangeBody body, void* context) {
    if (!would_run_parallel(n, grain)) {
        body(context, 0, n);
        return;
    }
    Pool& p = get_pool();
    // Another Python thread's job has the pool: doing ours alone beats waiting for it.
    std::unique_lock<std::mutex> lock(p.busy, std::try_to_lock);
    if (!lock.owns_lock()) {
        body(context, 0, n);
        return;
    }
    // Two chunks per thread even out cores of unequal speed at little cost.
    const int threads = num_threads();
    const int64_t most = n / grain;
    const int64_t chunks = most < 2 * threads ? most : 2 * threads;
    run_job(p, threads, n, (n + chunks - 1) / chunks, body, context);
}

}  // namespace rl
