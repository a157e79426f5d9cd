// Runs the blocks of one launch in a given order, thread by thread from barrier to barrier.
// Included behind the kernels, whose table it reads.
#pragma once
static void warp_statistics(int lanes) {  // totals: 0.. see STATISTICS in the Python part
    std::map<std::pair<u32, u32>, std::vector<std::pair<int, Access>>> groups;
    for (int lane = 0; lane < lanes; ++lane) {
        std::map<u32, u32> seen;
        for (auto& a : W->log[lane]) groups[{a.at, seen[a.at]++}].push_back({lane, a});
        W->log[lane].clear();
    }
    for (auto& g : groups) {
        auto& v = g.second;
        const Access& f = v[0].second;
        u64* t = W->totals + 8 * f.kind;
        t[0] += 1;
        t[1] += v.size();
        t[2] += v.size() * f.size;
        if (f.kind < 2) {
            std::vector<u64> s;
            for (auto& x : v) s.push_back(x.second.address / 32);
            std::sort(s.begin(), s.end());
            u64 n = std::unique(s.begin(), s.end()) - s.begin();
            t[3] += n;
            for (auto& y : s) y /= 4;
            t[4] += std::unique(s.begin(), s.begin() + n) - s.begin();
            bool same = true;
            for (auto& x : v) same &= x.second.address == f.address;
            t[5] += same && v.size() > 1;
        } else {
            std::map<u32, std::vector<u64>> banks;
            for (auto& x : v)
                for (u64 w = x.second.address / 4; w <= (x.second.address + x.second.size - 1) / 4;
                     ++w)
                    banks[w % 32].push_back(w);
            u64 worst = 0;
            for (auto& b : banks) {
                std::sort(b.second.begin(), b.second.end());
                u64 n = std::unique(b.second.begin(), b.second.end()) - b.second.begin();
                worst = std::max(worst, n);
            }
            t[3] += worst;
        }
    }
}
extern "C" long launch(int kernel, const u32* grid, const u32* block, u64* args, Buffer* buffers,
                       int count, const u32* order, u64 blocks, int backwards, int stats,
                       char* text, size_t room, u64* totals) {
    World w;
    w.buffers = buffers;
    w.count = count;
    w.args = args;
    memcpy(w.grid, grid, 12);
    memcpy(w.block, block, 12);
    w.stats = stats;
    w.text = text;
    w.room = room;
    w.used = 0;
    w.errors = 0;
    w.log.resize(32);
    w.totals = totals;
    W = &w;
    text[0] = 0;
    const Kernel& k = kernels[kernel];
    const u32 threads = block[0] * block[1] * block[2];
    std::vector<char> registers((size_t)threads * k.register_bytes);
    for (u64 o = 0; o < blocks; ++o) {
        const u64 id = order[o];
        ctaid[0] = id % grid[0];
        ctaid[1] = id / grid[0] % grid[1];
        ctaid[2] = id / grid[0] / grid[1];
        w.shared.assign(k.shared_bytes, 0xcd);
        w.swritten.assign(k.shared_bytes, 0);
        w.swriter.assign(k.shared_bytes, 0);
        w.sreader.assign(k.shared_bytes, 0);
        if (k.shared_bytes) std::fill(registers.begin(), registers.end(), 0);
        std::vector<int> state(threads, 0);
        for (;;) {
            for (u32 n = 0; n < threads; ++n) {
                const u32 t = backwards ? threads - 1 - n : n;
                local_me = t;
                me = (u32)(id * threads + t + 1);
                tid[0] = t % block[0];
                tid[1] = t / block[0] % block[1];
                tid[2] = t / block[0] / block[1];
                if (state[t] >= 0)
                    state[t] = k.run(k.barriers ? registers.data() + (size_t)t * k.register_bytes
                                                : registers.data(),
                                     state[t]);
                if (stats && (backwards ? t % 32 == 0 : t % 32 == 31 || t + 1 == threads))
                    warp_statistics(32);
            }
            std::fill(w.swriter.begin(), w.swriter.end(), 0);
            std::fill(w.sreader.begin(), w.sreader.end(), 0);
            bool all = true, some = false;
            for (int s : state) {
                all &= s < 0;
                some |= s < 0;
            }
            if (all) break;
            for (int s : state)
                if (s != state[0]) {
                    complain("threads of a block wait at different barriers, or some have ended", 0,
                             0, 0);
                    return w.errors;
                }
        }
    }
    return w.errors;
}
