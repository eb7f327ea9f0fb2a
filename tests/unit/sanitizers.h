/* Which sanitizer this is built with, as gcc and clang say it: THREAD_SANITIZER, ADDRESS_SANITIZER. */
#ifndef LJINSPECT_TEST_SANITIZERS_H
#define LJINSPECT_TEST_SANITIZERS_H

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#elif __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif

#endif
