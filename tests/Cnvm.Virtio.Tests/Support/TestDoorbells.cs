using Cnvm.Linux;
using Cnvm.Virtio.Transport;

namespace Cnvm.Virtio.Tests.Support;

/// <summary>Remembers what is bound, as the machine's registrar does with the hypervisor.</summary>
internal sealed class TestDoorbells : IDoorbellRegistrar
{
    public Dictionary<(ulong Address, ulong? Match), (int Width, EventFd Target)> Bound { get; } = [];

    public IDisposable? TryRegister(ulong address, int width, ulong? dataMatch, EventFd target)
    {
        Bound.Add((address, dataMatch), (width, target));
        return new Binding(this, (address, dataMatch));
    }

    private sealed class Binding(TestDoorbells owner, (ulong, ulong?) key) : IDisposable
    {
        public void Dispose() => owner.Bound.Remove(key);
    }
}
