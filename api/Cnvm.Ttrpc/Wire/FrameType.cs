namespace Cnvm.Ttrpc.Wire;

/// <summary>What a frame's data is.</summary>
internal enum FrameType : byte
{
    Request = 1,
    Response = 2,
    Data = 3,
}
