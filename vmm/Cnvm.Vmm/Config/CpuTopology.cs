namespace Cnvm.Vmm.Config;

/// <summary>How vCPUs are shared out among packages; the product of the four is the maximal number of vCPUs.</summary>
public sealed record CpuTopology(ushort ThreadsPerCore = 1, ushort CoresPerDie = 1, ushort DiesPerPackage = 1, ushort Packages = 1)
{
    /// <summary>vCPUs that this topology describes.</summary>
    internal ulong Count => (ulong)ThreadsPerCore * CoresPerDie * DiesPerPackage * Packages;
}
