using Cnvm.Vmm.Config;

namespace Cnvm.Vmm.Snapshot;

/// <summary>The configuration as the JSON of the REST contract. Lives where that JSON is known.</summary>
public interface IVmConfigCodec
{
    byte[] Write(VmConfig config);

    /// <exception cref="VmmException">It is no such JSON; the message names the field.</exception>
    VmConfig Read(ReadOnlySpan<byte> json);
}
