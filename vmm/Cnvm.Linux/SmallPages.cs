using System.Globalization;

namespace Cnvm.Linux;

/// <summary>
/// Keeps the program's own memory out of transparent huge pages (Documentation/admin-guide/mm/transhuge.rst). Where they are always on, the
/// kernel gives a thread's stack of which one page was touched 2 MiB, at once or later (khugepaged).
/// </summary>
public static unsafe class SmallPages
{
    private const ulong HugePageBytes = 2 << 20;

    // A stack that is smaller than a huge page never gets one. The framework's own threads (signals) need little.
    private const nuint DefaultStackBytes = 1 << 20;

    // Left to a waiting thread below its stack pointer: what it may need before this call has ended.
    private const ulong StackMarginBytes = 128 << 10;

    /// <summary>
    /// Takes huge pages from everything anonymous that is mapped now: the framework's heap, which reserves its whole range at the start,
    /// and the stacks of its threads, of which the unused part is given back. Threads that are started later without a stack size of
    /// their own get a small stack. Guest RAM is mapped later and asks for its own kind of page. Called once, before threads are started.
    /// </summary>
    public static void UseForProcess()
    {
        SetDefaultStackSize();
        if (AreHugePagesAlwaysOn())
        {
            UseForMappedMemory();
            GiveBackUnusedStacks();
        }
    }

    /// <summary>Elsewhere only memory that asks for huge pages gets them, and start-up is spared the look at every mapping.</summary>
    private static bool AreHugePagesAlwaysOn()
    {
        const string Setting = "/sys/kernel/mm/transparent_hugepage/enabled";
        return File.Exists(Setting) && File.ReadAllText(Setting).Contains("[always]", StringComparison.Ordinal);
    }

    internal static void UseForMappedMemory()
    {
        foreach (string line in File.ReadLines("/proc/self/maps"))
        {
            if (!TryParse(line, out ulong start, out ulong end) || end - start < HugePageBytes)
            {
                continue;
            }

            // Advice: a kernel without transparent huge pages refuses it (EINVAL), and then there is nothing to keep out of.
            _ = Libc.madvise((nint)start, (nuint)(end - start), Libc.MADV_NOHUGEPAGE);
        }
    }

    /// <summary>
    /// The framework's finalizer thread is there before <c>Main</c>, and its first push may have made a huge page. What lies below the stack
    /// pointer of a thread that waits in a system call holds nothing; the mapping begins with the stack, at whose low end is a guard page.
    /// </summary>
    private static void GiveBackUnusedStacks()
    {
        string self = NativeThread.CurrentId.ToString(CultureInfo.InvariantCulture);
        foreach (string thread in Directory.EnumerateDirectories("/proc/self/task"))
        {
            string file = thread + "/syscall";
            if (Path.GetFileName(thread) == self || !File.Exists(file) || !TryParseStackPointer(File.ReadAllText(file), out ulong stackPointer))
            {
                continue;
            }

            foreach (string line in File.ReadLines("/proc/self/maps"))
            {
                if (TryParse(line, out ulong start, out ulong end) && start <= stackPointer && stackPointer < end
                    && stackPointer - start > StackMarginBytes)
                {
                    ulong unused = (stackPointer - start - StackMarginBytes) & ~0xfffUL;
                    _ = Libc.madvise((nint)start, (nuint)unused, Libc.MADV_DONTNEED);
                }
            }
        }
    }

    private static void SetDefaultStackSize()
    {
        pthread_attr_t attributes;
        // SAFETY: the attributes live on this stack until the calls have returned; the library keeps a copy.
        Check(Libc.pthread_attr_init(&attributes), "pthread_attr_init");
        Check(Libc.pthread_attr_setstacksize(&attributes, DefaultStackBytes), "pthread_attr_setstacksize");
        Check(Libc.pthread_setattr_default_np(&attributes), "pthread_setattr_default_np");
        Check(Libc.pthread_attr_destroy(&attributes), "pthread_attr_destroy");

        static void Check(int error, string operation)
        {
            if (error != 0)
            {
                throw new LinuxException(operation, error);
            }
        }
    }

    /// <summary>"number arguments... stack-pointer program-counter" of a thread in a system call (proc(5)); "running" has none.</summary>
    internal static bool TryParseStackPointer(string text, out ulong stackPointer)
    {
        stackPointer = 0;
        const int Words = 9;
        string[] words = text.Split(' ', StringSplitOptions.TrimEntries);
        return words.Length == Words && words[Words - 2].StartsWith("0x", StringComparison.Ordinal)
            && ulong.TryParse(words[Words - 2].AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out stackPointer);
    }

    /// <summary>Reads the range of a private mapping without a file: "start-end rwxp offset device inode" (proc(5)).</summary>
    internal static bool TryParse(ReadOnlySpan<char> line, out ulong start, out ulong end)
    {
        start = end = 0;
        int dash = line.IndexOf('-');
        int space = line.IndexOf(' ');
        const int PermissionsLength = 5;
        return dash > 0 && space > dash && line.Length > space + PermissionsLength
            && line[space + PermissionsLength - 1] == 'p' && line.TrimEnd().EndsWith(" 00:00 0", StringComparison.Ordinal)
            && ulong.TryParse(line[..dash], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out start)
            && ulong.TryParse(line[(dash + 1)..space], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out end);
    }
}
