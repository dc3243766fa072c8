using System.Numerics;

namespace Cnvm.Arch.Machine;

/// <summary>
/// How vCPUs are grouped, and the APIC ids that follow. Each level has a field of whole bits in the APIC id (SDM vol. 3, 9.9).
/// </summary>
public sealed record CpuTopology
{
    /// <summary>Most vCPUs of a machine.</summary>
    public const int MaxVcpus = 1024;

    private CpuTopology(int threadsPerCore, int coresPerDie, int diesPerPackage, int packages)
    {
        ThreadsPerCore = threadsPerCore;
        CoresPerDie = coresPerDie;
        DiesPerPackage = diesPerPackage;
        Packages = packages;
    }

    /// <summary>Threads of a core.</summary>
    public int ThreadsPerCore { get; }

    /// <summary>Cores of a die.</summary>
    public int CoresPerDie { get; }

    /// <summary>Dies of a package.</summary>
    public int DiesPerPackage { get; }

    /// <summary>Packages (sockets).</summary>
    public int Packages { get; }

    /// <summary>All vCPUs.</summary>
    public int Count => ThreadsPerCore * CoresPerDie * DiesPerPackage * Packages;

    /// <summary>vCPUs of a package.</summary>
    public int ThreadsPerPackage => ThreadsPerCore * CoresPerDie * DiesPerPackage;

    /// <summary>vCPUs of a die.</summary>
    public int ThreadsPerDie => ThreadsPerCore * CoresPerDie;

    /// <summary>Bits of the APIC id below the core number.</summary>
    public int CoreShift => BitsFor(ThreadsPerCore);

    /// <summary>Bits of the APIC id below the die number.</summary>
    public int DieShift => CoreShift + BitsFor(CoresPerDie);

    /// <summary>Bits of the APIC id below the package number.</summary>
    public int PackageShift => DieShift + BitsFor(DiesPerPackage);

    /// <summary>One package with a core for each vCPU.</summary>
    /// <exception cref="MachineLayoutException">The count is out of range.</exception>
    public static CpuTopology Flat(int vcpus) => Create(1, vcpus, 1, 1, vcpus);

    /// <summary>A topology for exactly <paramref name="vcpus"/> vCPUs.</summary>
    /// <exception cref="MachineLayoutException">A level is 0, the product is another number, or it exceeds <see
    /// cref="MaxVcpus"/>.</exception>
    public static CpuTopology Create(int threadsPerCore, int coresPerDie, int diesPerPackage, int packages, int vcpus)
    {
        if (vcpus is < 1 or > MaxVcpus)
        {
            throw new MachineLayoutException($"{vcpus} vCPUs are not possible: the range is 1 to {MaxVcpus}.");
        }

        var product = 1L;
        foreach (var level in new[] { threadsPerCore, coresPerDie, diesPerPackage, packages })
        {
            if (level is < 1 or > MaxVcpus)
            {
                throw new MachineLayoutException($"The CPU topology has a level with {level} members: the range is 1 to {MaxVcpus}.");
            }

            product *= level;
        }

        return product == vcpus
            ? new CpuTopology(threadsPerCore, coresPerDie, diesPerPackage, packages)
            : throw new MachineLayoutException(
                $"The CPU topology {threadsPerCore}:{coresPerDie}:{diesPerPackage}:{packages} is one of {product} vCPUs, and "
                + $"the machine has {vcpus}. "
                + "threads_per_core * cores_per_die * dies_per_package * packages must equal the maximum number of vCPUs.");
    }

    /// <summary>APIC id of a vCPU. Ids have gaps where a level is not a power of two.</summary>
    public uint ApicIdOf(int vcpu)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(vcpu);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(vcpu, Count);
        var (core, thread) = (vcpu / ThreadsPerCore, vcpu % ThreadsPerCore);
        var (die, coreOfDie) = (core / CoresPerDie, core % CoresPerDie);
        var (package, dieOfPackage) = (die / DiesPerPackage, die % DiesPerPackage);
        return (uint)((package << PackageShift) | (dieOfPackage << DieShift) | (coreOfDie << CoreShift) | thread);
    }

    /// <summary>APIC ids of all vCPUs, by index.</summary>
    public uint[] ApicIds()
    {
        var ids = new uint[Count];
        for (var i = 0; i < ids.Length; i++)
        {
            ids[i] = ApicIdOf(i);
        }

        return ids;
    }

    private static int BitsFor(int members) => BitOperations.Log2(BitOperations.RoundUpToPowerOf2((uint)members));
}
