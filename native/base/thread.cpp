#include "base/thread.hpp"

#include <pthread.h>
#include <signal.h>

namespace thew {

void settle_thread(const std::string& name) {
    sigset_t signals;
    sigfillset(&signals);
    for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGPROF}) sigdelset(&signals, fault);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    pthread_setname_np(pthread_self(), name.c_str());
}

}  // namespace thew
