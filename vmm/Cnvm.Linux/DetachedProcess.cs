using System.Runtime.InteropServices;
using System.Text;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>
/// A program that was started: in a session of its own, so that it outlives this process and its terminal, with /dev/null as its input;
/// or in this one.
/// </summary>
[Abi("spawn.h sys/wait.h")]
public sealed unsafe partial class DetachedProcess : IDisposable
{
    internal const short POSIX_SPAWN_SETSIGDEF = 0x04;
    internal const short POSIX_SPAWN_SETSIGMASK = 0x08;
    private const short POSIX_SPAWN_SETSID = 0x80;
    private const int WNOHANG = 1;
    internal const int SignalBytes = 128;
    internal const long PidFdOpen = 434;

    private readonly FileDescriptor _pidFd;

    private DetachedProcess(int id, FileDescriptor pidFd)
    {
        Id = id;
        _pidFd = pidFd;
    }

    public int Id { get; }

    /// <summary>Polls readable once the process has ended; valid until disposed.</summary>
    public int Fd => _pidFd.Value;

    /// <summary>Starts a program with this process's environment.</summary>
    /// <param name="path">Path of the program; PATH is not searched.</param>
    /// <param name="arguments">With the program's name first.</param>
    /// <param name="output">Descriptor for output; stays the caller's.</param>
    /// <param name="errors">Descriptor for errors; stays the caller's. May be the same.</param>
    /// <exception cref="LinuxException">The program cannot be started.</exception>
    public static DetachedProcess Start(string path, IReadOnlyList<string> arguments, int output, int errors) =>
        Start(path, arguments, -1, output, errors, POSIX_SPAWN_SETSID, []);

    /// <summary>Starts a program that gets further descriptors of this process under the numbers that they have here.</summary>
    /// <param name="inherited">Stay the caller's; numbers from 3.</param>
    /// <inheritdoc cref="Start(string, IReadOnlyList{string}, int, int)"/>
    public static DetachedProcess Start(string path, IReadOnlyList<string> arguments, int output, int errors, IReadOnlyList<int> inherited) =>
        Start(path, arguments, -1, output, errors, POSIX_SPAWN_SETSID, inherited);

    /// <summary>Starts a program in this process's session: it has its terminal, and may ask there.</summary>
    /// <param name="input">Descriptor for input; stays the caller's.</param>
    /// <inheritdoc cref="Start(string, IReadOnlyList{string}, int, int)"/>
    public static DetachedProcess StartHere(string path, IReadOnlyList<string> arguments, int input, int output, int errors) =>
        Start(path, arguments, input, output, errors, 0, []);

    private static DetachedProcess Start(string path, IReadOnlyList<string> arguments, int input, int output, int errors, short session, IReadOnlyList<int> inherited)
    {
        var environment = new List<string>();
        foreach (System.Collections.DictionaryEntry entry in Environment.GetEnvironmentVariables())
        {
            environment.Add($"{entry.Key}={entry.Value}");
        }

        using var words = new NativeStrings(arguments);
        using var variables = new NativeStrings(environment);
        posix_spawnattr_t attributes;
        posix_spawn_file_actions_t actions;
        // SAFETY: all calls initialise, read or write locals of the sizes that the C library has, which a test compares; the string
        // vectors end with null and live until the end of this method.
        LinuxErrorOf(posix_spawnattr_init(&attributes), "posix_spawnattr_init");
        LinuxErrorOf(posix_spawn_file_actions_init(&actions), "posix_spawn_file_actions_init");
        try
        {
            // The runtime ignores and blocks signals that the new program wants to have as every program gets them.
            byte* all = stackalloc byte[SignalBytes];
            byte* none = stackalloc byte[SignalBytes];
            new Span<byte>(all, SignalBytes).Fill(byte.MaxValue);
            new Span<byte>(none, SignalBytes).Clear();
            LinuxErrorOf(posix_spawnattr_setsigdefault(&attributes, all), "posix_spawnattr_setsigdefault");
            LinuxErrorOf(posix_spawnattr_setsigmask(&attributes, none), "posix_spawnattr_setsigmask");
            LinuxErrorOf(
                posix_spawnattr_setflags(&attributes, (short)(session | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK)),
                "posix_spawnattr_setflags");
            LinuxErrorOf(
                input < 0
                    ? posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", Libc.O_RDONLY, 0)
                    : posix_spawn_file_actions_adddup2(&actions, input, 0),
                "posix_spawn_file_actions for the input");
            LinuxErrorOf(posix_spawn_file_actions_adddup2(&actions, output, 1), "posix_spawn_file_actions_adddup2");
            LinuxErrorOf(posix_spawn_file_actions_adddup2(&actions, errors, 2), "posix_spawn_file_actions_adddup2");
            foreach (int fd in inherited)
            {
                // Onto itself, which takes away that it is closed on exec.
                LinuxErrorOf(posix_spawn_file_actions_adddup2(&actions, fd, fd), "posix_spawn_file_actions_adddup2");
            }

            int id;
            LinuxErrorOf(posix_spawn(&id, path, &actions, &attributes, words.Vector, variables.Vector), $"start {path}");
            return new DetachedProcess(id, new FileDescriptor((int)LinuxError.Check((nint)syscall(PidFdOpen, id, 0), "pidfd_open")));
        }
        finally
        {
            _ = posix_spawn_file_actions_destroy(&actions);
            _ = posix_spawnattr_destroy(&attributes);
        }
    }

    /// <summary>
    /// How the process ended: its exit code, or 128 and the number of the signal that killed it; null while it runs. Says so once.
    /// </summary>
    /// <exception cref="LinuxException">It was asked before and had ended.</exception>
    public int? ExitCode()
    {
        const int KilledBase = 128;
        int status;
        // SAFETY: waitpid(2) writes one int, a local.
        int ended = LinuxError.Check(waitpid(Id, &status, WNOHANG), $"wait for process {Id}");
        int signal = status & 0x7f;
        return ended == 0 ? null : signal != 0 ? KilledBase + signal : (status >> 8) & 0xff;
    }

    /// <summary>Lets go of the process; it runs on.</summary>
    public void Dispose() => _pidFd.Dispose();

    // These functions return the error number instead of setting errno.
    internal static void LinuxErrorOf(int error, string operation)
    {
        if (error != 0)
        {
            throw new LinuxException(operation, error);
        }
    }

    [LibraryImport("libc")]
    internal static partial int posix_spawnattr_init(posix_spawnattr_t* attributes);

    [LibraryImport("libc")]
    internal static partial int posix_spawnattr_destroy(posix_spawnattr_t* attributes);

    [LibraryImport("libc")]
    internal static partial int posix_spawnattr_setflags(posix_spawnattr_t* attributes, short flags);

    [LibraryImport("libc")]
    internal static partial int posix_spawnattr_setsigdefault(posix_spawnattr_t* attributes, byte* signals);

    [LibraryImport("libc")]
    internal static partial int posix_spawnattr_setsigmask(posix_spawnattr_t* attributes, byte* signals);

    [LibraryImport("libc")]
    internal static partial int posix_spawn_file_actions_init(posix_spawn_file_actions_t* actions);

    [LibraryImport("libc")]
    internal static partial int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t* actions);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t* actions, int fd, string path, int flags, uint mode);

    [LibraryImport("libc")]
    internal static partial int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t* actions, int fd, int newFd);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int posix_spawn(
        int* id, string path, posix_spawn_file_actions_t* actions, posix_spawnattr_t* attributes, byte** arguments, byte** environment);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int waitpid(int id, int* status, int options);

    // syscall is variadic in C; on x86-64 a variadic call passes integers as an ordinary one does.
    [LibraryImport("libc", SetLastError = true)]
    internal static partial long syscall(long number, long first, long second);

    [Abi("spawn.h", "posix_spawnattr_t")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct posix_spawnattr_t
    {
        [AbiField("")] public fixed ulong words[42];
    }

    [Abi("spawn.h", "posix_spawn_file_actions_t")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct posix_spawn_file_actions_t
    {
        [AbiField("")] public fixed ulong words[10];
    }

    /// <summary>A vector of C strings that ends with null, as exec(3) takes it.</summary>
    internal sealed class NativeStrings : IDisposable
    {
        private readonly int _count;

        public NativeStrings(IReadOnlyList<string> texts)
        {
            Vector = (byte**)NativeMemory.AllocZeroed((nuint)texts.Count + 1, (nuint)sizeof(byte*));
            _count = texts.Count;
            for (int i = 0; i < _count; i++)
            {
                // SAFETY: each string is allocated with its terminating null; the vector has one place more than there are strings.
                int length = Encoding.UTF8.GetByteCount(texts[i]);
                byte* text = (byte*)NativeMemory.AllocZeroed((nuint)length + 1);
                Encoding.UTF8.GetBytes(texts[i], new Span<byte>(text, length));
                Vector[i] = text;
            }
        }

        public byte** Vector { get; }

        public void Dispose()
        {
            for (int i = 0; i < _count; i++)
            {
                NativeMemory.Free(Vector[i]);
            }

            NativeMemory.Free(Vector);
        }
    }
}
