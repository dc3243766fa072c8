using Cnvm.Vmm.Config;

namespace Cnvm.Api.Json;

/// <summary>cnvm's own enumeration, in lower case.</summary>
internal sealed class MachineProfileConverter : ExactEnumConverter<MachineProfile>
{
    public MachineProfileConverter()
        : base(["cloud", "microvm"])
    {
    }
}
