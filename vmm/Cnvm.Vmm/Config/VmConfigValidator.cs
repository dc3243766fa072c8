namespace Cnvm.Vmm.Config;

/// <summary>
/// Finds everything that is wrong with a configuration, in itself: no file is opened and no host is asked. Fields that would change what
/// the guest gets and that cnvm cannot honour yet are refused by name, never ignored.
/// </summary>
public sealed partial class VmConfigValidator
{
    private readonly VmConfig _config;
    private readonly List<ConfigProblem> _problems = [];

    private VmConfigValidator(VmConfig config) => _config = config;

    /// <summary>Returns all problems of <paramref name="config"/>; empty if it can be booted as far as it alone can tell.</summary>
    public static IReadOnlyList<ConfigProblem> Validate(VmConfig config)
    {
        var validator = new VmConfigValidator(config);
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

    /// <summary>Like <see cref="Validate"/>, but throws.</summary>
    /// <exception cref="ConfigException">Something is wrong.</exception>
    public static void ThrowIfInvalid(VmConfig config)
    {
        IReadOnlyList<ConfigProblem> problems = Validate(config);
        if (problems.Count > 0)
        {
            throw new ConfigException(problems);
        }
    }

    private void Add(string field, string message) => _problems.Add(new ConfigProblem(field, message));

    private void Conflict(string field, string message) => _problems.Add(new ConfigProblem(field, message, IsConflict: true));

    private static bool IsPowerOfTwo(ulong value) => value != 0 && (value & (value - 1)) == 0;
}
