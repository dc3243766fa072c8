using System.Globalization;
using Cnvm.Vmm.Config;
using Microsoft.Extensions.Logging;

namespace Cnvm.CommandLine;

/// <summary>
/// What the command line of <c>cnvm-vhost-user-blk</c> asks for: Cloud Hypervisor's <c>--block-backend</c>, or the flags of "Backend program
/// conventions" in the vhost-user protocol.
/// </summary>
internal sealed record BlockBackendOptions
{
    public const string Program = "cnvm-vhost-user-blk";

    private const string BlockBackend = "--block-backend";
    private const string SocketPath = "--socket-path";
    private const string SocketFd = "--fd";
    private const string File = "--blk-file";
    private const string ReadOnly = "--read-only";
    private const string PrintCapabilities = "--print-capabilities";
    private const string LogFileFlag = "--log-file";

    private static readonly string[] WithValue = [BlockBackend, SocketPath, "--socket", SocketFd, File, LogFileFlag];
    private static readonly string[] WithoutValue = [ReadOnly, PrintCapabilities, "-v", "-vv", "-vvv", "-V", "--version", "-h", "--help"];

    public bool ShowHelp { get; private init; }

    public bool ShowVersion { get; private init; }

    public bool ShowCapabilities { get; private init; }

    /// <summary>The image, and how it is served; has a path unless something is only shown.</summary>
    public DiskConfig Disk { get; private init; } = new();

    /// <summary>Where front ends connect: a path, or a listening socket.</summary>
    public PathOrFd Socket { get; private init; } = new(null, null);

    /// <summary>Null is stderr.</summary>
    public string? LogFile { get; private init; }

    public LogLevel LogLevel { get; private init; } = LogLevel.Warning;

    /// <exception cref="CommandLineException">The arguments are wrong.</exception>
    /// <exception cref="ConfigException">They describe a disk that cannot be.</exception>
    public static BlockBackendOptions Parse(IReadOnlyList<string> words)
    {
        Dictionary<string, string?> given = Sort(words, out LogLevel level);
        if (given.ContainsKey("--help") || given.ContainsKey("--version") || given.ContainsKey(PrintCapabilities))
        {
            return new BlockBackendOptions
            {
                ShowHelp = given.ContainsKey("--help"), ShowVersion = given.ContainsKey("--version"), ShowCapabilities = true,
            };
        }

        DiskConfig disk = given.GetValueOrDefault(BlockBackend) is { } keys ? ParseKeys(keys) : new DiskConfig();
        disk = disk with
        {
            Id = disk.Id ?? "disk",
            Path = Either(BlockBackend + " path=", disk.Path, File, given.GetValueOrDefault(File)),
            Readonly = disk.Readonly || given.ContainsKey(ReadOnly),
            VhostSocket = Either(BlockBackend + " socket=", disk.VhostSocket, SocketPath, given.GetValueOrDefault(SocketPath)),
        };
        PathOrFd socket = ParseSocket(disk.VhostSocket, given.GetValueOrDefault(SocketFd));
        if (disk.Path is null)
        {
            throw new CommandLineException($"which image? give {BlockBackend} path=IMAGE,socket=PATH (see --help)");
        }

        disk = disk with { VhostSocket = null };
        IReadOnlyList<ConfigProblem> problems = VmConfigValidator.ValidateDisk(BlockBackend, disk);
        if (problems.Count > 0)
        {
            throw new ConfigException(problems);
        }

        return disk.NumQueues > MaxQueues
            ? throw new CommandLineException($"{BlockBackend}: num_queues: {disk.NumQueues}; vhost-user has at most {MaxQueues}")
            : new BlockBackendOptions { Disk = disk, Socket = socket, LogFile = given.GetValueOrDefault(LogFileFlag), LogLevel = level };
    }

    /// <summary>A ring's number is a byte in the protocol's messages.</summary>
    private const int MaxQueues = 256;

    private static DiskConfig ParseKeys(string text)
    {
        var o = new OptionString(
            BlockBackend, text, "path", "socket", "num_queues", "queue_size", "readonly", "direct", "poll_queue", "image_type", "backing_files",
            "sparse", "serial", "lock_granularity", "queue_affinity", "bw_size", "bw_one_time_burst", "bw_refill_time", "ops_size",
            "ops_one_time_burst", "ops_refill_time", "id", "_disable_io_uring");
        return o.Toggle("poll_queue")
            ? throw new CommandLineException($"{BlockBackend}: poll_queue: queues are not polled; their threads sleep until the guest notifies them: leave it out")
            : VmConfigArguments.ToDisk(o);
    }

    private static string? Either(string first, string? one, string second, string? other) =>
        one is not null && other is not null ? throw new CommandLineException($"{first} and {second} say the same: leave one out") : one ?? other;

    private static PathOrFd ParseSocket(string? path, string? fd)
    {
        if (fd is null)
        {
            return path is null
                ? throw new CommandLineException($"where do front ends connect? give {BlockBackend} path=IMAGE,socket=PATH (see --help)")
                : new PathOrFd(path, null);
        }

        return path is not null ? throw new CommandLineException($"{SocketFd} is a socket already: leave {path} out")
            : int.TryParse(fd, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? new PathOrFd(null, number)
            : throw new CommandLineException($"{SocketFd}: '{fd}' is no descriptor's number");
    }

    /// <summary>Flags with their values; those that have a letter or another name under the first one.</summary>
    private static Dictionary<string, string?> Sort(IReadOnlyList<string> words, out LogLevel level)
    {
        var given = new Dictionary<string, string?>(StringComparer.Ordinal);
        level = LogLevel.Warning;
        for (int i = 0; i < words.Count; i++)
        {
            int equals = words[i].StartsWith("--", StringComparison.Ordinal) ? words[i].IndexOf('=', StringComparison.Ordinal) : -1;
            string word = equals < 0 ? words[i] : words[i][..equals];
            string? value = equals < 0 ? null : words[i][(equals + 1)..];
            if (WithValue.Contains(word))
            {
                value ??= ++i < words.Count ? words[i] : throw new CommandLineException($"{word} needs a value");
            }
            else if (!WithoutValue.Contains(word) || value is not null)
            {
                throw value is not null && WithoutValue.Contains(word) ? new CommandLineException($"{word} takes no value") : Unknown(word);
            }

            string name = word switch { "--socket" => SocketPath, "-h" => "--help", "-V" => "--version", _ => word };
            if (name.StartsWith("-v", StringComparison.Ordinal))
            {
                level = name.Length switch { 2 => LogLevel.Information, 3 => LogLevel.Debug, _ => LogLevel.Trace };
            }
            else if (!given.TryAdd(name, value))
            {
                throw new CommandLineException($"{word} is given twice");
            }
        }

        return given;
    }

    private static CommandLineException Unknown(string word)
    {
        string hint = NearestMatch.Find(word, [.. WithValue, .. WithoutValue]) is { } nearest ? $"did you mean {nearest}?" : "see --help";
        return new CommandLineException($"there is no flag '{word}'; {hint}");
    }
}
