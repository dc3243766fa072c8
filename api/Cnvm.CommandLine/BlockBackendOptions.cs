using Cnvm.Vmm.Config;

namespace Cnvm.CommandLine;

/// <summary>
/// What the command line of <c>cnvm-vhost-user-blk</c> asks for: Cloud Hypervisor's <c>--block-backend</c>, or the flags of "Backend program
/// conventions" in the vhost-user protocol.
/// </summary>
internal sealed class BlockBackendOptions : BackendOptions
{
    public const string Program = "cnvm-vhost-user-blk";

    private const string BlockBackend = "--block-backend";
    private const string File = "--blk-file";
    private const string ReadOnly = "--read-only";

    private BlockBackendOptions(BackendArguments arguments, DiskConfig disk, PathOrFd? socket)
        : base(arguments, socket) => Disk = disk;

    /// <summary>The image, and how it is served; has a path unless something is only shown.</summary>
    public DiskConfig Disk { get; }

    /// <exception cref="CommandLineException">The arguments are wrong.</exception>
    /// <exception cref="ConfigException">They describe a disk that cannot be.</exception>
    public static BlockBackendOptions Parse(IReadOnlyList<string> words)
    {
        var arguments = new BackendArguments(words, [BlockBackend, File], [ReadOnly]);
        if (arguments.OnlyShows)
        {
            return new BlockBackendOptions(arguments, new DiskConfig(), null);
        }

        DiskConfig disk = arguments.Value(BlockBackend) is { } keys ? ParseKeys(keys) : new DiskConfig();
        disk = disk with
        {
            Id = disk.Id ?? "disk",
            Path = BackendArguments.Either(BlockBackend + " path=", disk.Path, File, arguments.Value(File)),
            Readonly = disk.Readonly || arguments.Has(ReadOnly),
        };
        PathOrFd socket = arguments.ParseSocket(disk.VhostSocket, BlockBackend + " socket=", BlockBackend + " path=IMAGE,socket=PATH");
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
            : new BlockBackendOptions(arguments, disk, socket);
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
}
