using Iced.Intel;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>Feeds the decoder with bytes of one page.</summary>
internal sealed unsafe class PageReader : CodeReader
{
    private byte* _next;
    private byte* _end;

    public void Set(byte* start, byte* end)
    {
        _next = start;
        _end = end;
    }

    public override int ReadByte() => _next < _end ? *_next++ : -1;
}
