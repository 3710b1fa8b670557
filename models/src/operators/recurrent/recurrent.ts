/** Recurrent layers: https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html, onnx__RNN.html */
import { operator, type OperatorRows } from '../operator.js';
import { gruGradient, inferGru } from './gru.js';
import { inferLstm, lstmGradient } from './lstm.js';
import { recurrentFlops } from './recurrent-site.js';
import { inferRnn, rnnGradient } from './rnn.js';

export const recurrentOperators: OperatorRows = {
  GRU: operator({ infer: inferGru, gradient: gruGradient, flops: recurrentFlops }),
  LSTM: operator({ infer: inferLstm, gradient: lstmGradient, flops: recurrentFlops }),
  RNN: operator({ infer: inferRnn, gradient: rnnGradient, flops: recurrentFlops }),
};
