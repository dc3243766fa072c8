using Cnvm.Api.Json;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Api;

/// <summary>The configuration as the body of <c>vm.create</c> has it.</summary>
public sealed class VmConfigCodec : IVmConfigCodec
{
    /// <summary>
    /// Makes what reading the first request for a VM, or the first snapshot, would wait for: the serializer's plans, some milliseconds of work.
    /// </summary>
    public static void Prepare()
    {
        ApiJsonContext.Default.VmConfig.MakeReadOnly();
        ApiJsonContext.Default.RestoreConfig.MakeReadOnly();
    }

    public byte[] Write(VmConfig config) => JsonBody.Write(config, ApiJsonContext.Default.VmConfig);

    public VmConfig Read(ReadOnlySpan<byte> json) => JsonBody.Read(json, ApiJsonContext.Default.VmConfig);
}
