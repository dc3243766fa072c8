namespace Cnvm.Vmm.Config;

/// <summary>
/// Finds everything that is wrong with a configuration, in itself: no file is opened and no host is asked. Fields that would change what
/// the guest gets and that cnvm cannot honour yet are refused by name, never ignored.
/// </summary>
public sealed partial class VmConfigValidator
{
    private readonly VmConfig _config;
    private readonly bool _goesOn;
    private readonly List<ConfigProblem> _problems = [];

    private VmConfigValidator(VmConfig config, bool goesOn) => (_config, _goesOn) = (config, goesOn);

    /// <summary>Returns all problems of <paramref name="config"/>; empty if it can be booted as far as it alone can tell.</summary>
    /// <param name="goesOn">It does not boot: the guest comes with what it was shown, and needs no CPU profile's file.</param>
    public static IReadOnlyList<ConfigProblem> Validate(VmConfig config, bool goesOn = false)
    {
        var validator = new VmConfigValidator(config, goesOn);
        validator.CheckSupported();
        validator.CheckCpus();
        validator.CheckMemory();
        validator.CheckPayload();
        validator.CheckPlatform();
        validator.CheckPciSegments();
        validator.CheckConsoles();
        validator.CheckRng();
        validator.CheckRateLimitGroups();
        validator.CheckDisks();
        validator.CheckNets();
        validator.CheckFs();
        validator.CheckVsock();
        validator.CheckBalloon();
        validator.CheckPciDevices();
        return validator._problems;
    }

    /// <summary>The problems of a disk that is not a machine's of this program.</summary>
    /// <param name="field">What it is called in messages.</param>
    public static IReadOnlyList<ConfigProblem> ValidateDisk(string field, DiskConfig disk)
    {
        ArgumentNullException.ThrowIfNull(disk);

        // Who has the vCPUs is not known here, so there are enough for its queues.
        var validator = new VmConfigValidator(new VmConfig(Cpus: new CpusConfig(BootVcpus: Math.Max(disk.NumQueues, (ushort)1))), goesOn: false);
        validator.CheckDisk(field, disk);
        return validator._problems;
    }

    /// <summary>The problems of a shared folder that is not a machine's of this program.</summary>
    /// <inheritdoc cref="ValidateDisk"/>
    public static IReadOnlyList<ConfigProblem> ValidateFs(string field, FsConfig fs)
    {
        ArgumentNullException.ThrowIfNull(fs);
        var validator = new VmConfigValidator(new VmConfig(Cpus: new CpusConfig(BootVcpus: Math.Max(fs.NumQueues, (ushort)1))), goesOn: false);
        validator.CheckFs(field, fs);
        return validator._problems;
    }

    /// <summary>Like <see cref="Validate"/>, but throws.</summary>
    /// <exception cref="ConfigException">Something is wrong.</exception>
    public static void ThrowIfInvalid(VmConfig config, bool goesOn = false)
    {
        IReadOnlyList<ConfigProblem> problems = Validate(config, goesOn);
        if (problems.Count > 0)
        {
            throw new ConfigException(problems);
        }
    }

    /// <summary>vCPUs that queues may be for; of a guest that runs already some may have been given up since.</summary>
    private uint QueueVcpus => _goesOn ? _config.Cpus.MaxVcpus : _config.Cpus.BootVcpus;

    private void Add(string field, string message) => _problems.Add(new ConfigProblem(field, message));

    private void Conflict(string field, string message) => _problems.Add(new ConfigProblem(field, message, IsConflict: true));

    private static bool IsPowerOfTwo(ulong value) => value != 0 && (value & (value - 1)) == 0;
}
