using Cnvm.Arch.Cpuid;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Cpus;

/// <summary>What a guest was shown of its processors and relies on, wherever it goes on.</summary>
/// <param name="Vcpus">Number of vCPUs; where they come and go, the most that there can be.</param>
/// <param name="Cpuid">What CPUID answers on the first one.</param>
/// <param name="CpuProfile">Name of the CPU profile.</param>
/// <param name="TscKhz">Frequency of the TSC in kHz; 0 if not known.</param>
public sealed record GuestPromise(uint Vcpus, CpuidTable Cpuid, string CpuProfile, uint TscKhz)
{
    /// <summary>What a saved guest was promised.</summary>
    public static GuestPromise Of(MachineState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        uint vcpus = (uint)(state.Chipset.CpuHotplug?.Vcpus.Length ?? state.Vcpus.Length);
        return new GuestPromise(vcpus, state.Vcpus[0].State.Cpuid, state.CpuProfile, state.Vcpus[0].State.TscKhz);
    }
}
