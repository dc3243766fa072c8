using Cnvm.Virtio.Queues;
using Microsoft.Extensions.Logging;

namespace Cnvm.Virtio.Block;

/// <content>What the driver may ask for (virtio 1.2 §5.2.6).</content>
internal sealed partial class BlockWorker
{
    private void Begin(BlockRequest request)
    {
        DescriptorChain chain = request.Chain;
        ChainReader reader = new(chain);
        if (!reader.TryRead(out RequestHeader header) || chain.WritableBytes == 0)
        {
            _queue.Break("a block request without a header or a status byte");
            Release(request);
            return;
        }

        switch (header.Type)
        {
            case BlockSpec.In:
                Transfer(request, BlockOperation.Read, header.Sector, chain.WritableBytes - 1);
                break;
            case BlockSpec.Out:
                Transfer(request, BlockOperation.Write, header.Sector, reader.Remaining);
                break;
            case BlockSpec.FlushRequest:
                request.SetRange(BlockOperation.Flush, 0, 0);
                request.Submit(_io);
                break;
            case BlockSpec.GetId:
                GiveId(request);
                break;
            case BlockSpec.DiscardRequest:
                Range(request, reader, isDiscard: true);
                break;
            case BlockSpec.WriteZeroesRequest:
                Range(request, reader, isDiscard: false);
                break;
            default:
                Finish(request, BlockSpec.StatusUnsupported);
                break;
        }
    }

    private void Transfer(BlockRequest request, BlockOperation operation, ulong sector, uint bytes)
    {
        uint blockMask = _device.Image.LogicalBlockSize - 1;
        if (!IsInside(sector, bytes >> BlockSpec.SectorShift)
            || ((bytes | (uint)(sector << BlockSpec.SectorShift)) & blockMask) != 0
            || (operation == BlockOperation.Write && _device.Image.IsReadOnly))
        {
            Finish(request, BlockSpec.StatusIoError);
            return;
        }

        if (bytes == 0)
        {
            Finish(request, BlockSpec.StatusOk);
            return;
        }

        if (operation == BlockOperation.Write && IsKept(sector))
        {
            Finish(request, BlockSpec.StatusIoError);
            return;
        }

        request.SetTransfer(operation, sector << BlockSpec.SectorShift, bytes, _device.Image.MemoryAlignment);
        request.Submit(_io);
    }

    private void GiveId(BlockRequest request)
    {
        // §5.2.6: up to 20 bytes, padded with zeroes; the status byte follows them.
        int room = (int)Math.Min(request.Chain.WritableBytes - 1, BlockSpec.IdBytes);
        ChainWriter writer = new(request.Chain);
        writer.Write(_device.SerialBytes[..room]);
        Finish(request, BlockSpec.StatusOk);
    }

    private void Range(BlockRequest request, ChainReader reader, bool isDiscard)
    {
        ulong feature = isDiscard ? BlockSpec.Discard : BlockSpec.WriteZeroes;
        if ((_device.Negotiated & feature) == 0)
        {
            Finish(request, BlockSpec.StatusUnsupported);
            return;
        }

        // One range in a request: that is what max_discard_seg and max_write_zeroes_seg promise.
        if (reader.Remaining != BlockSpec.RangeBytes || !reader.TryRead(out SectorRange range))
        {
            Finish(request, BlockSpec.StatusIoError);
            return;
        }

        // §5.2.6.2: unmap is for write zeroes only, and an unknown flag is unsupported.
        if ((range.Flags & ~(isDiscard ? 0 : BlockSpec.RangeUnmap)) != 0)
        {
            Finish(request, BlockSpec.StatusUnsupported);
            return;
        }

        uint blockMask = (_device.Image.LogicalBlockSize >> BlockSpec.SectorShift) - 1;
        if (range.Count > BlockDevice.MaxRangeSectors || !IsInside(range.Sector, range.Count)
            || (((uint)range.Sector | range.Count) & blockMask) != 0)
        {
            Finish(request, BlockSpec.StatusIoError);
            return;
        }

        if (range.Count == 0)
        {
            Finish(request, BlockSpec.StatusOk);
            return;
        }

        if (IsKept(range.Sector))
        {
            Finish(request, BlockSpec.StatusIoError);
            return;
        }

        bool unmap = (range.Flags & BlockSpec.RangeUnmap) != 0 && _device.Image.CanDiscard;
        BlockOperation operation = isDiscard ? BlockOperation.Discard
            : unmap ? BlockOperation.WriteZeroesUnmap
            : BlockOperation.WriteZeroes;
        request.SetRange(operation, range.Sector << BlockSpec.SectorShift, (ulong)range.Count << BlockSpec.SectorShift);
        request.Submit(_io);
    }

    /// <summary>Whether a change that begins at a sector is refused because the first one is not the guest's to write.</summary>
    private bool IsKept(ulong sector)
    {
        if (sector != 0 || !_device.IsFirstSectorKept)
        {
            return false;
        }

        if (_errorLimit.TryTake(out long suppressed))
        {
            LogFirstSector(Logger, _device.Id, suppressed);
        }

        return true;
    }

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "{Device}: the guest may not write the disk's first sector, as nobody said what the image is: give image_type=raw (or fixedvhd, if that it is) "
            + "({Suppressed} like it not shown)")]
    private static partial void LogFirstSector(ILogger logger, string device, long suppressed);

    private bool IsInside(ulong sector, uint count) => sector <= _device.Sectors && count <= _device.Sectors - sector;
}
