namespace Cnvm.Ttrpc.Wire;

/// <summary>A call that waits for its answer.</summary>
internal interface IPendingCall
{
    /// <summary>0 until the request goes out.</summary>
    uint StreamId { get; set; }

    /// <summary>Nobody waits any more.</summary>
    bool IsGivenUp { get; }

    /// <summary>Takes the frame that the reader has.</summary>
    void Complete(FrameReader frame);

    void Fail(TtrpcCode code, string message);
}
