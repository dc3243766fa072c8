using Cnvm.Api.Json;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Api;

/// <summary>The configuration as the body of <c>vm.create</c> has it.</summary>
public sealed class VmConfigCodec : IVmConfigCodec
{
    public byte[] Write(VmConfig config) => JsonBody.Write(config, ApiJsonContext.Default.VmConfig);

    public VmConfig Read(ReadOnlySpan<byte> json) => JsonBody.Read(json, ApiJsonContext.Default.VmConfig);
}
