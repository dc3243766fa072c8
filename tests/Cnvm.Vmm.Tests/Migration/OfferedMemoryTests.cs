using System.Text;
using Cnvm.Api;
using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Requests;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A source that offers little, with a configuration that makes much: refused before anything of it is made.</summary>
public sealed class OfferedMemoryTests : IDisposable
{
    private readonly string _path = Path.Combine(Directory.CreateTempSubdirectory("cnvm-offer-").FullName, "target");
    private readonly VmmThread _thread = new();
    private readonly VmmService _service;
    private int _opened;

    public OfferedMemoryTests() => _service = new VmmService(
        new VmmOptions
        {
            OpenHypervisor = () =>
            {
                _opened++;
                throw new HypervisorException("there is no hypervisor here");
            },
            Ping = new VmmPing("v1", "1", 1, []),
            Logging = NullLoggerFactory.Instance,
            ConfigCodec = new VmConfigCodec(),
            OnEvent = static _ => { },
            OnExit = static _ => { },
        },
        _thread);

    [Theory]
    [InlineData("""{"size":1099511627776,"prefault":true}""", 4096UL, 1 << 20)]
    [InlineData("""{"size":0,"zones":[{"id":"a","size":4194304},{"id":"b","size":1099511627776,"prefault":true}]}""", 4UL << 20, (1 << 20) + 4)]
    [InlineData("""{"size":4194304}""", 2UL << 20, 4)]
    public void A_configuration_that_makes_other_memory_than_is_offered_is_refused(string memory, ulong offered, int mebibytes)
    {
        Assert.Contains(
            $"the configuration makes {mebibytes} MiB of RAM, and the source offers {offered >> 20} MiB", Offer(memory, offered), StringComparison.Ordinal);
        Assert.Equal(0, _opened);
    }

    /// <summary>64 TiB.</summary>
    [Fact]
    public void A_guest_for_which_this_host_has_not_the_memory_is_refused_by_name()
    {
        Assert.Contains("memory: the guest has 67108864 MiB, and this host has ", Offer("""{"size":70368744177664}""", 1UL << 46), StringComparison.Ordinal);
        Assert.Equal(0, _opened);
    }

    /// <summary>The same configuration with what it makes is looked at further.</summary>
    [Fact]
    public void What_is_offered_as_it_is_made_goes_on()
    {
        Assert.Contains("there is no hypervisor here", Offer("""{"size":4194304}""", 4UL << 20), StringComparison.Ordinal);
        Assert.Equal(1, _opened);
    }

    public void Dispose()
    {
        _thread.Dispose();
        _service.Dispose();
        Directory.Delete(Path.GetDirectoryName(_path)!, recursive: true);
    }

    /// <summary>Why the target refuses.</summary>
    private string Offer(string memory, ulong offered)
    {
        _thread.Invoke(() => _service.ReceiveMigration(new ReceiveMigrationData($"unix:{_path}"), [], static _ => { }));
        using RawLink link = RawLink.To(_path);
        link.Say(FrameType.Hello, StateWriter.Write(
            new MigrationHello
            {
                Lowest = MigrationWire.Version, Highest = MigrationWire.Version, Features = 0, Session = Move.Session, IsQuestion = false, Producer = "hostile",
            },
            MigrationHello.Describe));
        Assert.True(link.HearMagic() && link.HearUntil(FrameType.Welcome));
        string config = $$"""{"payload":{"kernel":"/nowhere/vmlinux"},"serial":{"mode":"Null"},"console":{"mode":"Off"},"memory":{{memory}}}""";
        var offer = new MigrationOffer
        {
            Config = Encoding.UTF8.GetBytes(config),
            Machine = "cloud",
            Guest = new GuestPromise(1, new CpuidTable([]), "Host", 1000),
            Memory = [new MigrationRange(0, offered, "")],
            Hypervisor = "hostile",
        };
        link.Say(FrameType.Offer, StateWriter.Write(offer, MigrationOffer.Describe));
        Assert.True(link.HearUntil(FrameType.Failed));
        return Encoding.UTF8.GetString(link.Heard.Payload);
    }
}
